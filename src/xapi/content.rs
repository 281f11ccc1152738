//! A hash of a statement's content, to compare copies without storing them.
//!
//! An LRS may reorder keys and normalise escapes and numbers. It adds `stored` and `authority`. Ralph lower-cases the
//! domain of an mbox and converts a number as `id` to text. Copies that differ only in this have the same content.

use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

/// Top-level keys that are not compared. The id is compared separately, and an LRS sets the others.
const IGNORED: [&str; 4] = ["id", "stored", "authority", "version"];
/// Statements with more levels are compared byte for byte. Ralph stores less than 300 levels.
const MAX_DEPTH: usize = 500;

/// The content of a statement: hashes of 64 bits, which are not stable between versions of this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    /// The hash of the statement without the timestamp.
    hash: u64,
    /// The hash of the timestamp; 0 without a timestamp.
    time: u64,
}

impl Content {
    /// The content of a JSON object. The last value of a repeated key counts, as in an LRS. Text that cannot be parsed is
    /// compared byte for byte.
    pub fn of(statement: &[u8]) -> Self {
        let mut deserializer = serde_json::Deserializer::from_slice(statement);
        Top.deserialize(&mut deserializer)
            .ok()
            // the parser rejects deep nesting and long numbers
            .or_else(|| top_of(serde_json::from_slice(statement).ok()?))
            .unwrap_or_else(|| Self { hash: hash_of_bytes(statement), time: 0 })
    }

    /// The content without its timestamp, for a statement to which the time of the run was added.
    pub fn without_time(self) -> Self {
        Self { time: 0, ..self }
    }

    /// Whether a stored copy has the same content. A copy always has a timestamp, even if the statement had none.
    pub fn matches_stored(self, stored: Self) -> bool {
        self.hash == stored.hash && (self.time == 0 || self.time == stored.time)
    }
}

const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
const LAST: u64 = 0x5851_f42d_4c95_7f2d;

fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a ^ 0x2d35_8dcc_aa6c_78a5) * u128::from(b ^ FACTOR);
    (product as u64) ^ ((product >> 64) as u64)
}

/// A hash of 64 bits, which is not stable between versions of this program.
pub fn hash_of_bytes(bytes: &[u8]) -> u64 {
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

/// The hash of an mbox. Ralph lower-cases the domain of an address. It normalises an international domain further, which is
/// therefore not compared.
fn mbox(address: &str) -> u64 {
    let Some((local, domain)) = address.rsplit_once('@') else {
        return hash_of_bytes(address.as_bytes());
    };
    let domain = domain.to_ascii_lowercase();
    if !address.is_ascii() || domain.contains("xn--") {
        return 1;
    }
    mix(hash_of_bytes(local.as_bytes()), hash_of_bytes(domain.as_bytes()))
}

fn time(value: &str) -> u64 {
    let hash = match value.parse::<jiff::Timestamp>() {
        Ok(time) => hash_of_bytes(&time.as_nanosecond().to_le_bytes()),
        Err(_) => hash_of_bytes(value.as_bytes()),
    };
    hash | 1
}

/// How the value of a key is compared.
#[derive(Clone, Copy)]
enum Value {
    Any,
    Mbox,
    Id,
    Time,
}

impl Value {
    /// For a key of an object within the statement.
    fn of(key: &str) -> Self {
        match key {
            "mbox" => Self::Mbox,
            "id" => Self::Id,
            _ => Self::Any,
        }
    }

    /// For a top-level key of the statement. None: not compared.
    fn at_top(key: &str) -> Option<Self> {
        match key {
            _ if IGNORED.contains(&key) => None,
            "timestamp" => Some(Self::Time),
            _ => Some(Self::of(key)),
        }
    }

    fn number(self, number: impl fmt::Display, value: f64) -> u64 {
        match self {
            Self::Id => hash_of_bytes(number.to_string().as_bytes()),
            // 0.0 and -0.0 are equal
            _ => mix((value + 0.0).to_bits(), 2),
        }
    }

    fn string(self, value: &str) -> u64 {
        match self {
            Self::Mbox => mbox(value),
            Self::Time => time(value),
            Self::Any | Self::Id => hash_of_bytes(value.as_bytes()),
        }
    }

    fn null(self) -> u64 {
        match self {
            Self::Time => 0,
            _ => 3,
        }
    }
}

fn boolean(value: bool) -> u64 {
    4 + u64::from(value)
}

fn array(elements: impl Iterator<Item = u64>) -> u64 {
    mix(elements.fold(6, mix), 7)
}

/// The hash of an object from the hashes of its names and values, in any order.
fn object(fields: &mut [(u64, u64)]) -> u64 {
    mix(sum(fields).wrapping_add(8), 9)
}

/// The sum over all names. The last value of a repeated name counts.
fn sum(fields: &mut [(u64, u64)]) -> u64 {
    let is_short = fields.len() <= 16;
    if !is_short {
        fields.sort_by_key(|(name, _)| *name);
    }
    let mut sum = 0_u64;
    for (at, (name, value)) in fields.iter().enumerate() {
        let later = &fields[at + 1..];
        let later = if is_short { later } else { &later[..later.len().min(1)] };
        if !later.iter().any(|(other, _)| other == name) {
            sum = sum.wrapping_add(mix(*name, *value));
        }
    }
    sum
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
        let mut fields = Vec::with_capacity(32);
        let mut time = 0;
        while let Some((value, name)) = map.next_key_seed(Key { top: true })? {
            match value {
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
                Some(value @ Value::Time) => {
                    time = map.next_value_seed(Seed { value, fields: &mut fields })?;
                }
                Some(value) => {
                    let value = map.next_value_seed(Seed { value, fields: &mut fields })?;
                    fields.push((name, value));
                }
            }
        }
        Ok(Content { hash: sum(&mut fields), time })
    }
}

/// A key: how its value is compared, and its hash. None: not compared.
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
        let value = if self.top { Value::at_top(key) } else { Some(Value::of(key)) };
        Ok((value, hash_of_bytes(key.as_bytes())))
    }
}

/// Parses a value to its hash.
struct Seed<'f> {
    value: Value,
    /// The fields of all enclosing objects, in one allocation per statement.
    fields: &'f mut Vec<(u64, u64)>,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u64, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<u64, E> {
        Ok(self.value.null())
    }

    fn visit_bool<E>(self, value: bool) -> Result<u64, E> {
        Ok(boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<u64, E> {
        Ok(self.value.number(value, value as f64))
    }

    fn visit_u64<E>(self, value: u64) -> Result<u64, E> {
        Ok(self.value.number(value, value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<u64, E> {
        Ok(self.value.number(value, value))
    }

    fn visit_str<E>(self, value: &str) -> Result<u64, E> {
        Ok(self.value.string(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<u64, A::Error> {
        let mut failure = None;
        let elements = std::iter::from_fn(|| {
            let seed = Seed { value: Value::Any, fields: &mut *self.fields };
            sequence.next_element_seed(seed).unwrap_or_else(|error| {
                failure = Some(error);
                None
            })
        });
        let hash = array(elements);
        failure.map_or(Ok(hash), Err)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<u64, A::Error> {
        let first = self.fields.len();
        while let Some((value, name)) = map.next_key_seed(Key { top: false })? {
            let value = value.unwrap_or(Value::Any);
            let value = map.next_value_seed(Seed { value, fields: &mut *self.fields })?;
            self.fields.push((name, value));
        }
        let hash = object(&mut self.fields[first..]);
        self.fields.truncate(first);
        Ok(hash)
    }
}

/// The unparsed fields of an object, in order.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// The same content as that of [`Top`], computed level by level. Slower, but accepts deep nesting and long numbers.
fn top_of(Fields(fields): Fields<'_>) -> Option<Content> {
    let mut hashes = Vec::new();
    let mut time = 0;
    for (key, raw) in fields {
        match Value::at_top(&key) {
            None => {}
            Some(value @ Value::Time) => time = hash_of(raw, value, 1)?,
            Some(value) => hashes.push((hash_of_bytes(key.as_bytes()), hash_of(raw, value, 1)?)),
        }
    }
    Some(Content { hash: sum(&mut hashes), time })
}

fn hash_of(raw: &RawValue, value: Value, depth: usize) -> Option<u64> {
    let written = raw.get();
    Some(match written.as_bytes().first()? {
        b'{' | b'[' if depth > MAX_DEPTH => return None,
        b'{' => {
            let Fields(fields) = serde_json::from_str(written).ok()?;
            let mut hashes = Vec::with_capacity(fields.len());
            for (key, raw) in fields {
                let hash = hash_of(raw, Value::of(&key), depth + 1)?;
                hashes.push((hash_of_bytes(key.as_bytes()), hash));
            }
            object(&mut hashes)
        }
        b'[' => {
            let elements: Vec<&RawValue> = serde_json::from_str(written).ok()?;
            let hashes: Option<Vec<u64>> =
                elements.into_iter().map(|raw| hash_of(raw, Value::Any, depth + 1)).collect();
            array(hashes?.into_iter())
        }
        b'"' => value.string(&serde_json::from_str::<String>(written).ok()?),
        b't' => boolean(true),
        b'f' => boolean(false),
        b'n' => value.null(),
        _ => match written.parse::<f64>().ok()? {
            // beyond the range of a float, so compared digit by digit
            number if number.is_infinite() => hash_of_bytes(written.as_bytes()),
            number => value.number(written, number),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(a: &str, b: &str) -> bool {
        Content::of(a.as_bytes()).matches_stored(Content::of(b.as_bytes()))
    }

    #[test]
    fn content_of_normalised_copy_is_same() {
        let sent = r#"{"id":"A","timestamp":"2026-03-02T10:00:00Z","actor":{"mbox":"mailto:a@EXAMPLE.org"},"verb":{"id":5},"result":{"score":{"raw":1.0,"min":0}},"object":{"id":"o\u00e9"}}"#;
        let stored = r#"{"object":{"id":"oé"},"actor":{"mbox":"mailto:a@example.org"},"verb":{"id":"5"},"id":"a","stored":"x","authority":{"mbox":"m"},
            "result":{"score":{"min":0,"raw":1}},"timestamp":"2026-03-02T10:00:00.000+00:00"}"#;
        assert!(same(sent, stored));
    }

    #[test]
    fn content_of_changed_statement_differs() {
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
    fn content_of_deep_nesting_is_compared_level_by_level() {
        let deep = |n: &str| format!("{}{n}{}", r#"{"k":["#.repeat(200), "]}".repeat(200));
        let sent = |n: &str| format!(r#"{{"id":"a","x":{}}}"#, deep(n));
        let stored = |n: &str| {
            format!(r#"{{"stored":"now", "id":"a", "x": {}}}"#, deep(n).replace(':', " : "))
        };
        assert!(same(&sent("1"), &stored("1.0")));
        assert!(!same(&sent("1"), &stored("2")));
    }

    #[test]
    fn content_of_number_beyond_a_float_is_compared_digit_by_digit() {
        let long = |digit: &str, stored: &str| format!(r#"{{{stored}"x":{}}}"#, digit.repeat(900));
        assert!(same(&long("1", ""), &long("1", r#""stored":"now","#)));
        assert!(!same(&long("1", ""), &long("2", r#""stored":"now","#)));
    }

    #[test]
    fn content_of_repeated_key_is_its_last_value() {
        let sent = r#"{"a":1,"a":{"b":2,"b":[3]},"timestamp":"x","timestamp":"y"}"#;
        assert!(same(sent, r#"{"a":{"b":[3]},"timestamp":"y"}"#));
        assert!(!same(sent, r#"{"a":{"b":2},"timestamp":"y"}"#));
        let many: String = (0..40).map(|n| format!(r#""k{}":{n},"#, n % 20)).collect();
        let last: String = (20..40).rev().map(|n| format!(r#""k{}":{n},"#, n % 20)).collect();
        assert!(same(&format!(r#"{{{many}"z":0}}"#), &format!(r#"{{{last}"z":0}}"#)));
    }

    proptest::proptest! {
        #[test]
        fn content_parsed_at_once_and_level_by_level_is_same(
            name in ".*", text in ".*", number: i64, float in proptest::num::f64::NORMAL, flag: bool
        ) {
            let statement = serde_json::json!({
                "timestamp": text, "mbox": name,
                "o": {name.clone(): [number, float, flag, null_or(flag, number)], "id": number, "mbox": text},
            });
            let written = statement.to_string();
            let fields = serde_json::from_str(&written).expect("an object");
            proptest::prop_assert_eq!(top_of(fields), Some(Content::of(written.as_bytes())));
        }
    }

    fn null_or(flag: bool, number: i64) -> serde_json::Value {
        if flag { serde_json::Value::Null } else { number.into() }
    }

    #[test]
    fn content_of_unparsable_statement_is_compared_byte_for_byte() {
        let deep = |n: &str| format!(r#"{{"x":{}{n}{}}}"#, "[".repeat(5000), "]".repeat(5000));
        assert!(same(&deep("1"), &deep("1")) && !same(&deep("1"), &deep("2")));
        let long = |digit: &str| format!(r#"{{"x":{}}}"#, digit.repeat(2000));
        assert!(same(&long("1"), &long("1")) && !same(&long("1"), &long("2")));
    }
}
