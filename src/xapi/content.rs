//! A number for what a statement says, so that two copies can be compared without keeping either.
//!
//! An LRS may reorder keys and write escapes and numbers in another form. It adds `stored` and `authority`, and
//! Ralph lower-cases the domain of an mbox and turns a number as `id` into text. Copies that differ only in this have
//! the same content.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Top-level keys that are not compared: the id is known, and an LRS sets the others.
const IGNORED: [&str; 4] = ["id", "stored", "authority", "version"];

/// The content of a statement, as 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    /// Without the timestamp.
    said: u64,
    /// Of the timestamp; 0 when there is none.
    time: u64,
}

impl Content {
    /// The content of a JSON object. What cannot be parsed, such as very deep nesting, counts byte for byte.
    pub fn of(statement: &[u8]) -> Self {
        let mut deserializer = serde_json::Deserializer::from_slice(statement);
        Top.deserialize(&mut deserializer)
            .unwrap_or_else(|_| Self { said: text(statement), time: 0 })
    }

    /// The same without a timestamp, for one that the time of the run was added to.
    pub fn without_time(self) -> Self {
        Self { time: 0, ..self }
    }

    /// Whether a stored copy says the same. A copy has a timestamp even where the statement came without one.
    pub fn is_that_of(self, stored: Self) -> bool {
        self.said == stored.said && (self.time == 0 || self.time == stored.time)
    }

    /// Both as one number.
    pub fn number(self) -> u64 {
        self.said ^ self.time.rotate_left(32)
    }
}

const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
const LAST: u64 = 0x5851_f42d_4c95_7f2d;

fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a ^ 0x2d35_8dcc_aa6c_78a5) * u128::from(b ^ FACTOR);
    (product as u64) ^ ((product >> 64) as u64)
}

fn text(bytes: &[u8]) -> u64 {
    let mut hash = bytes.len() as u64;
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        hash = mix(hash, u64::from_le_bytes(word.try_into().unwrap_or_default()));
    }
    let mut last = [0; 8];
    let rest = words.remainder();
    last[..rest.len()].copy_from_slice(rest);
    mix(mix(hash, u64::from_le_bytes(last)), LAST)
}

/// Ralph normalises the domain of an address. Where it does more than lower-casing, the domain is not compared.
fn mbox(address: &str) -> u64 {
    let Some((local, domain)) = address.rsplit_once('@') else { return text(address.as_bytes()) };
    let domain = domain.to_ascii_lowercase();
    if !address.is_ascii() || domain.contains("xn--") {
        return 1;
    }
    mix(text(local.as_bytes()), text(domain.as_bytes()))
}

fn time(value: &str) -> u64 {
    let hash = match value.parse::<jiff::Timestamp>() {
        Ok(time) => text(&time.as_nanosecond().to_le_bytes()),
        Err(_) => text(value.as_bytes()),
    };
    hash | 1
}

/// What the value of a key is compared as.
#[derive(Clone, Copy)]
enum Value {
    Any,
    Mbox,
    Id,
    Time,
}

struct Top;

impl<'de> DeserializeSeed<'de> for Top {
    type Value = Content;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Content, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Top {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a statement")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content, A::Error> {
        let mut content = Content { said: 0, time: 0 };
        while let Some((key, name)) = map.next_key_seed(Key { top: true })? {
            match key {
                None => {
                    map.next_value::<serde::de::IgnoredAny>()?;
                }
                Some(Value::Time) => content.time = map.next_value_seed(Value::Time)?,
                Some(value) => {
                    let value = map.next_value_seed(value)?;
                    content.said = content.said.wrapping_add(mix(name, value));
                }
            }
        }
        Ok(content)
    }
}

/// A key: how its value is compared, and its number. None: not at all.
struct Key {
    top: bool,
}

impl<'de> DeserializeSeed<'de> for Key {
    type Value = (Option<Value>, u64);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = (Option<Value>, u64);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        let value = match key {
            _ if self.top && IGNORED.contains(&key) => None,
            "timestamp" if self.top => Some(Value::Time),
            "mbox" => Some(Value::Mbox),
            "id" => Some(Value::Id),
            _ => Some(Value::Any),
        };
        Ok((value, text(key.as_bytes())))
    }
}

impl<'de> DeserializeSeed<'de> for Value {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u64, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Value {
    fn number(self, number: impl fmt::Display, hash: u64) -> u64 {
        match self {
            Self::Id => text(number.to_string().as_bytes()),
            _ => mix(hash, 2),
        }
    }
}

impl<'de> Visitor<'de> for Value {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<u64, E> {
        Ok(match self {
            Self::Time => 0,
            _ => 3,
        })
    }

    fn visit_bool<E>(self, value: bool) -> Result<u64, E> {
        Ok(4 + u64::from(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<u64, E> {
        Ok(self.number(value, (value as f64).to_bits()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<u64, E> {
        Ok(self.number(value, (value as f64).to_bits()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<u64, E> {
        // the two zeros are one number
        Ok(self.number(value, (value + 0.0).to_bits()))
    }

    fn visit_str<E>(self, value: &str) -> Result<u64, E> {
        Ok(match self {
            Self::Mbox => mbox(value),
            Self::Time => time(value),
            Self::Any | Self::Id => text(value.as_bytes()),
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<u64, A::Error> {
        let mut hash = 6;
        while let Some(value) = sequence.next_element_seed(Value::Any)? {
            hash = mix(hash, value);
        }
        Ok(mix(hash, 7))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<u64, A::Error> {
        let mut sum = 8_u64;
        while let Some((value, name)) = map.next_key_seed(Key { top: false })? {
            let value = map.next_value_seed(value.unwrap_or(Value::Any))?;
            sum = sum.wrapping_add(mix(name, value));
        }
        Ok(mix(sum, 9))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(a: &str, b: &str) -> bool {
        Content::of(a.as_bytes()).is_that_of(Content::of(b.as_bytes()))
    }

    #[test]
    fn content_of_copies_that_an_lrs_normalises_is_the_same() {
        let sent = r#"{"id":"A","timestamp":"2026-03-02T10:00:00Z","actor":{"mbox":"mailto:a@EXAMPLE.org"},"verb":{"id":5},"result":{"score":{"raw":1.0,"min":0}},"object":{"id":"o\u00e9"}}"#;
        let stored = r#"{"object":{"id":"oé"},"actor":{"mbox":"mailto:a@example.org"},"verb":{"id":"5"},"id":"a","stored":"x","authority":{"mbox":"m"},
            "result":{"score":{"min":0,"raw":1}},"timestamp":"2026-03-02T10:00:00.000+00:00"}"#;
        assert!(same(sent, stored));
    }

    #[test]
    fn content_of_statements_that_say_something_else_differs() {
        let statement =
            r#"{"actor":{"a":[1,2]},"verb":{"x":null},"timestamp":"2026-03-02T10:00:00Z"}"#;
        for other in [
            r#"{"actor":{"a":[2,1]},"verb":{"x":null},"timestamp":"2026-03-02T10:00:00Z"}"#,
            r#"{"actor":{"a":[1,2]},"verb":{"x":false},"timestamp":"2026-03-02T10:00:00Z"}"#,
            r#"{"actor":{"a":[1,2]},"verb":{"x":null},"timestamp":"2026-03-02T10:00:01Z"}"#,
            r#"{"actor":{"a":[1,2]},"verb":{"y":null},"timestamp":"2026-03-02T10:00:00Z"}"#,
            r#"{"actor":{"a":[1,2,[]]},"verb":{"x":null},"timestamp":"2026-03-02T10:00:00Z"}"#,
            r#"{"actor":{"a":["1",2]},"verb":{"x":null},"timestamp":"2026-03-02T10:00:00Z"}"#,
            r#"{"actor":{"a":[1,2]},"timestamp":"2026-03-02T10:00:00Z"}"#,
        ] {
            assert!(!same(statement, other), "{other}");
        }
    }

    #[test]
    fn content_of_deep_or_long_values_is_compared_byte_for_byte() {
        let deep = |n: &str| format!(r#"{{"x":{}{n}{}}}"#, "[".repeat(5000), "]".repeat(5000));
        assert!(same(&deep("1"), &deep("1")) && !same(&deep("1"), &deep("2")));
        let long = |digit: &str| format!(r#"{{"x":{}}}"#, digit.repeat(2000));
        assert!(same(&long("1"), &long("1")) && !same(&long("1"), &long("2")));
    }
}
