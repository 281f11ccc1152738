//! Text with slots: what is the same in all statements of a kind is put together once.

/// A part of a statement that differs from one statement to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    Id,
    Timestamp,
    Actor,
    Registration,
    Cohort,
    /// The number of a discussion, reply or attempt.
    Number,
    Points,
    Scaled,
    Success,
    Duration,
    PlayerSession,
    /// The device and its settings.
    Player,
    Position,
    Minute,
    Target,
    Progress,
    Segments,
}

impl Slot {
    fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "id" => Self::Id,
            "timestamp" => Self::Timestamp,
            "actor" => Self::Actor,
            "registration" => Self::Registration,
            "cohort" => Self::Cohort,
            "number" => Self::Number,
            "points" => Self::Points,
            "scaled" => Self::Scaled,
            "success" => Self::Success,
            "duration" => Self::Duration,
            "player_session" => Self::PlayerSession,
            "player" => Self::Player,
            "position" => Self::Position,
            "minute" => Self::Minute,
            "target" => Self::Target,
            "progress" => Self::Progress,
            "segments" => Self::Segments,
            _ => return None,
        })
    }
}

/// The text of a statement up to each slot, and what follows the last one.
#[derive(Debug, Default)]
pub struct Template {
    pub parts: Vec<(Box<str>, Slot)>,
    pub rest: Box<str>,
}

impl Template {
    /// Compiles a text in which `$name` stands for a slot.
    pub fn new(text: &str) -> Self {
        let mut template = Self::default();
        let mut before = String::new();
        for piece in pieces(text) {
            match piece {
                Piece::Text(text) => before.push_str(text),
                Piece::Name(name) => {
                    let slot =
                        Slot::by_name(name).unwrap_or_else(|| panic!("no slot is called `{name}`"));
                    template.parts.push((std::mem::take(&mut before).into(), slot));
                }
            }
        }
        template.rest = before.into();
        template
    }
}

/// Puts values in the place of `$name`; names without a value stay.
pub fn insert(text: &str, values: &[(&str, &str)]) -> String {
    let mut result = String::new();
    for piece in pieces(text) {
        match piece {
            Piece::Text(text) => result.push_str(text),
            Piece::Name(name) => match values.iter().find(|(given, _)| *given == name) {
                Some((_, value)) => result.push_str(value),
                None => result.extend(["$", name]),
            },
        }
    }
    result
}

enum Piece<'a> {
    Text(&'a str),
    Name(&'a str),
}

fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    text.split('$').enumerate().flat_map(|(index, piece)| {
        let is_name = |c: char| index > 0 && (c.is_ascii_lowercase() || c == '_');
        let (name, text) = piece.split_at(piece.find(|c| !is_name(c)).unwrap_or(piece.len()));
        [(!name.is_empty()).then_some(Piece::Name(name)), Some(Piece::Text(text))]
            .into_iter()
            .flatten()
    })
}

/// Takes the line breaks and the blanks for the reader's eye out of a JSON text.
pub fn compact(text: &str) -> String {
    let lines: String = text.lines().map(str::trim).collect();
    lines.replace("\": ", "\":").replace(", \"", ",\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_at_its_slots() {
        let template = Template::new(r#"{"id":"$id","n":$number}"#);
        let parts: Vec<_> = template.parts.iter().map(|(text, slot)| (&**text, *slot)).collect();
        assert_eq!(parts, [(r#"{"id":""#, Slot::Id), (r#"","n":"#, Slot::Number)]);
        assert_eq!(&*template.rest, "}");
    }

    #[test]
    fn values_are_inserted_and_slots_stay() {
        assert_eq!(
            insert("$object of $id, $verb_name.", &[("object", "it"), ("verb_name", "did")]),
            "it of $id, did."
        );
    }

    #[test]
    fn a_pretty_text_becomes_compact() {
        assert_eq!(
            compact("{\n  \"a\": {\"b\": 1},\n  \"c\": \"d: e\"\n}\n"),
            r#"{"a":{"b":1},"c":"d: e"}"#
        );
    }
}
