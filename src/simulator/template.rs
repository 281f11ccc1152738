//! Templates: the constant text of statements, with slots for variable values.

/// A variable value of a statement.
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
    /// The device and the settings of the player.
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

/// The text before each slot, and the text after the last slot.
#[derive(Debug, Default)]
pub struct Template {
    pub parts: Vec<(Box<str>, Slot)>,
    pub rest: Box<str>,
}

impl Template {
    /// Compiles a text in which `$name` is a slot.
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

/// Replaces each `$name` with its value. Names without a value remain.
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

/// Removes line breaks and insignificant spaces from a JSON text.
pub fn compact(text: &str) -> String {
    let lines: String = text.lines().map(str::trim).collect();
    lines.replace("\": ", "\":").replace(", \"", ",\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn template_is_split_at_slots() {
        let template = Template::new(r#"{"id":"$id","n":$number}"#);
        let parts: Vec<_> = template.parts.iter().map(|(text, slot)| (&**text, *slot)).collect();
        assert_eq!(parts, [(r#"{"id":""#, Slot::Id), (r#"","n":"#, Slot::Number)]);
        assert_eq!(&*template.rest, "}");
    }

    #[test]
    fn inserted_values_leave_other_slots() {
        assert_eq!(
            insert("$object of $id, $verb_name.", &[("object", "it"), ("verb_name", "did")]),
            "it of $id, did."
        );
    }

    #[test]
    fn compact_text_has_no_insignificant_space() {
        assert_eq!(
            compact("{\n  \"a\": {\"b\": 1},\n  \"c\": \"d: e\"\n}\n"),
            r#"{"a":{"b":1},"c":"d: e"}"#
        );
    }
}
