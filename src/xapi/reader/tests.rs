//! Tests of the reader through its public interface: bytes in, batches or messages out.

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::*;

const ID_A: &str = "00000000-0000-4000-8000-00000000000a";
const ID_B: &str = "00000000-0000-4000-8000-00000000000b";

fn statement(id: &str, note: &str) -> String {
    format!(
        r#"{{"id":"{id}","timestamp":"2026-03-02T10:00:00Z","actor":{{"name":"{note}"}},"verb":{{"id":"v"}},"object":{{"id":"o"}}}}"#
    )
}

fn numbered(number: u128) -> String {
    statement(&Uuid::from_u128(number).to_string(), "Zoë \\\"{[]}\\\" \\u00e9")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Returns the bytes in pieces, whose sizes repeat.
struct Pieces {
    bytes: io::Cursor<Vec<u8>>,
    sizes: std::iter::Cycle<vec::IntoIter<usize>>,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.sizes.next().unwrap_or(1).min(buffer.len());
        self.bytes.read(&mut buffer[..size])
    }
}

fn reader_of_pieces(bytes: impl Into<Vec<u8>>, sizes: Vec<usize>, limits: Limits) -> Reader {
    let pieces = Pieces { bytes: io::Cursor::new(bytes.into()), sizes: sizes.into_iter().cycle() };
    let input = Input::Stream("input".into(), Box::new(pieces));
    Reader::new(vec![input], limits, "2026-06-01T12:00:00Z".parse().unwrap())
}

fn reader(bytes: impl Into<Vec<u8>>) -> Reader {
    reader_of_pieces(bytes, vec![1 << 20], Limits::default())
}

/// The bodies of all batches, and all messages.
fn read_all(mut reader: Reader) -> (Vec<String>, Vec<String>) {
    let (mut batch, mut bodies, mut messages) = (Batch::new(), Vec::new(), Vec::new());
    loop {
        match reader.fill(&mut batch) {
            Ok(true) => bodies.push(String::from_utf8(batch.body().to_vec()).unwrap()),
            Ok(false) => return (bodies, messages),
            Err(error) => messages.push(error.to_string()),
        }
    }
}

fn one_body(bytes: impl Into<Vec<u8>>) -> String {
    let (bodies, messages) = read_all(reader(bytes));
    assert_eq!((bodies.len(), messages), (1, vec![]));
    bodies.into_iter().next().unwrap()
}

fn messages(bytes: impl Into<Vec<u8>>) -> Vec<String> {
    read_all(reader(bytes)).1
}

#[test]
fn batch_is_same_for_all_input_formats() {
    let (a, b) = (statement(ID_A, "a"), statement(ID_B, "b"));
    let expected = format!("[{a},{b}]");
    let pretty = format!("[\r\n  {a} ,\r\n\t{b}\r\n]\r\n");
    let marked = format!("\u{feff}[{a},{b}]");
    for text in [
        format!("[{a},{b}]"),
        pretty,
        marked,
        format!("{a}\n{b}\n"),
        format!("{a}\r\n\r\n{b}"),
        format!("{a}{b}"),
        format!("[{a}][{b}]"),
        format!("[]{a}\n[{b}] []"),
    ] {
        assert_eq!(one_body(text.clone()), expected, "{text}");
        assert_eq!(one_body(gzip(text.as_bytes())), expected, "{text}, gzip");
    }
    let members = [gzip(format!("[{a}").as_bytes()), gzip(format!(",{b}]").as_bytes())].concat();
    assert_eq!(one_body(members), expected);
}

#[test]
fn statement_is_not_changed() {
    let odd = format!(
        r#"{{ "object":{{"id":"o\u0022}}{{"}},"verb":{{}}, "x" : [ 1e400 , -0.0, 12345678901234567890123, null ], "actor":{{"name":"日本 \ud83d\ude00 😀"}} , "timestamp":null,"id":"{}" }}"#,
        ID_A.to_uppercase()
    );
    assert_eq!(one_body(odd.clone()), format!("[{odd}]"));
}

#[test]
fn deep_statement_is_read() {
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    let text = statement(ID_A, "a").replace(r#""verb""#, &format!(r#""x":{deep},"verb""#));
    assert_eq!(one_body(text.clone()), format!("[{text}]"));
}

#[test]
fn missing_id_is_derived_from_bytes() {
    let text = r#"{"timestamp":"2026-03-02T10:00:00Z","actor":{},"verb":{},"object":{}}"#;
    let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, text.as_bytes());
    assert_eq!(one_body(text), format!(r#"[{{"id":"{id}",{}]"#, &text[1..]));
    let mut batch = Batch::new();
    reader(text).fill(&mut batch).unwrap();
    assert_eq!(
        (batch.entries()[0].id, batch.entries()[0].added),
        (id, Added { id: true, timestamp: false })
    );
}

#[test]
fn missing_timestamp_is_time_of_run() {
    let text = format!(r#"{{"id":"{ID_A}","actor":{{}},"verb":{{}},"object":{{"timestamp":1}}}}"#);
    assert_eq!(
        one_body(text.clone()),
        format!(r#"[{{"timestamp":"2026-06-01T12:00:00.000Z",{}]"#, &text[1..])
    );
    let mut batch = Batch::new();
    reader(text).fill(&mut batch).unwrap();
    assert_eq!(batch.entries()[0].added, Added { id: false, timestamp: true });
}

#[test]
fn repeated_statement_is_sent_once() {
    let a = statement(ID_A, "a");
    let mut reader = reader(format!("[{a},{a}]"));
    let mut batch = Batch::new();
    assert!(reader.fill(&mut batch).unwrap());
    assert_eq!(batch.body(), format!("[{a}]").as_bytes());
    assert!(!reader.fill(&mut batch).unwrap());
}

#[test]
fn statement_with_known_id_and_other_bytes_is_a_variant() {
    let (a, other, b) = (statement(ID_A, "a"), statement(ID_A, "other"), statement(ID_B, "b"));
    let inputs = [("first", format!("[{a},{b},{other},{a}]")), ("second", format!("{a}{other}"))]
        .map(|(name, text)| Input::Stream(name.into(), Box::new(io::Cursor::new(text))))
        .into();
    let mut reader =
        Reader::new(inputs, Limits { statements: 2, ..Limits::default() }, Timestamp::UNIX_EPOCH);
    let (mut batch, mut bodies, mut origins) = (Batch::new(), Vec::new(), Vec::new());
    while reader.fill(&mut batch).unwrap() {
        bodies.push(String::from_utf8(batch.body().to_vec()).unwrap());
        origins.extend(batch.variants().iter().map(|variant| variant.origin.clone()));
    }
    assert_eq!(bodies, [format!("[{a},{b}]"), "[]".to_string()]);
    assert_eq!(
        origins,
        [
            format!("first: statement 3 (byte {})", a.len() + b.len() + 3),
            format!("second: statement 2 (byte {})", a.len()),
        ]
    );
}

#[test]
fn invalid_line_does_not_affect_other_lines() {
    let (a, b) = (statement(ID_A, "a"), statement(ID_B, "b"));
    for wrong in [
        r#"{"id": NaN}"#,
        r#"{"id": "torn"#,
        r#"{"actor": {"name": "torn", "x":"#,
        r#"{"actor": ["#,
        r#"{"actor": {"name": {"#,
        "NaN",
        "]",
        r#"torn", "verb": {}}"#,
    ] {
        for text in [format!("{a}\n{wrong}\n{b}\n"), format!("{wrong}\r\n{a}\n{b}")] {
            let (bodies, messages) = read_all(reader(text.clone()));
            assert_eq!(bodies.concat().replace("][", ","), format!("[{a},{b}]"), "{text}");
            assert_eq!(messages.len(), 1, "{text}: {messages:?}");
        }
    }
}

#[test]
fn invalid_array_reports_number_of_unread_bytes() {
    let (a, b) = (statement(ID_A, "a"), statement(ID_B, "b"));
    let text = format!("[{a},{{\"x\":NaN}},{b}]");
    let expected = format!("expected value; {} bytes were not read", b.len() + 11);
    let (bodies, messages) = read_all(reader(text));
    assert_eq!(bodies, [format!("[{a}]")]);
    assert!(messages.len() == 1 && messages[0].ends_with(&expected), "{messages:?}");
}

#[test]
fn statement_with_unpaired_surrogate_is_a_fault() {
    let (a, b) = (statement(ID_A, "a"), statement(ID_B, "x\\ud83dx"));
    let (bodies, messages) = read_all(reader(format!("{b}\n{a}\n")));
    assert_eq!(bodies, [format!("[{a}]")]);
    let offset = b.find("\\ud83d").unwrap();
    assert_eq!(
        messages,
        [format!(
            "input: statement 1 (byte 0): the text has an unpaired surrogate at byte {offset}"
        )]
    );
}

#[test]
fn batch_respects_limits() {
    let text: String = (0..10).map(numbered).collect();
    let sizes = |limits| {
        let mut reader = reader_of_pieces(text.clone(), vec![7], limits);
        let (mut batch, mut sizes) = (Batch::new(), Vec::new());
        while reader.fill(&mut batch).unwrap() {
            sizes.push(batch.len());
        }
        sizes
    };
    assert_eq!(sizes(Limits { statements: 4, bytes: 1 << 20 }), [4, 4, 2]);
    let three = 3 * numbered(0).len() + 4;
    assert_eq!(sizes(Limits { statements: 100, bytes: three }), [3, 3, 3, 1]);
    assert_eq!(sizes(Limits { statements: 100, bytes: 1 }), [1; 10]);
}

#[test]
fn statement_beyond_window_is_read_and_beyond_limit_is_rejected() {
    let large = statement(ID_A, &"x".repeat(3 << 20));
    assert_eq!(one_body(large.clone()), format!("[{large}]"));
    let (bodies, messages) = read_all(reader(format!(
        "[{},{}]",
        statement(ID_B, "b"),
        statement(ID_A, &"x".repeat(17 << 20))
    )));
    assert_eq!(bodies, [format!("[{}]", statement(ID_B, "b"))]);
    assert_eq!(messages.len(), 1);
    assert!(
        messages[0].starts_with("input: statement 2 (byte ")
            && messages[0].contains("): larger than 16 MiB; ")
    );
}

#[test]
fn fault_names_position_and_reason() {
    let (a, b) = (statement(ID_A, "a"), statement(ID_B, "b"));
    let second = a.len() + 2;
    for (text, message) in [
        (String::new(), "input: contains no statements".to_owned()),
        ("[ ]\n".to_owned(), "input: contains no statements".to_owned()),
        ("hello".to_owned(), "input: neither JSON nor gzip: it begins with `hello`".to_owned()),
        (
            "PK\u{3}\u{4}".to_owned(),
            r"input: neither JSON nor gzip: it begins with `PK\x03\x04`".to_owned(),
        ),
        (
            format!("[{a}"),
            format!(
                "input: statement 1 (byte {}): the input ends before the array's closing bracket",
                second - 1
            ),
        ),
        (
            format!("[{a},{}", &b[..40]),
            format!("input: statement 2 (byte {second}): the input ends inside the statement"),
        ),
        (
            format!("[{a},]"),
            format!(
                "input: statement 1 (byte {second}): not JSON at byte {second}: expected a statement, found `]`; 1 byte was not read"
            ),
        ),
        (
            format!("[{a}{b}]"),
            format!(
                "input: statement 1 (byte {0}): not JSON at byte {0}: expected `,` or `]`, found `{{`; {1} bytes were not read",
                second - 1,
                b.len() + 1
            ),
        ),
        (
            format!("[{a},[{b}]]"),
            format!(
                "input: statement 1 (byte {second}): not JSON at byte {second}: expected a statement, found `[`; {} bytes were not read",
                b.len() + 3
            ),
        ),
        (
            format!("[{a},{{\n\"id\":\n'x'}}]"),
            format!(
                "input: statement 2 (byte {second}): not JSON at byte {}: expected value; 13 bytes were not read",
                second + 8
            ),
        ),
    ] {
        assert_eq!(messages(text.clone()), [message], "{text}");
    }
}

#[test]
fn invalid_statement_does_not_affect_others() {
    let (a, b) = (statement(ID_A, "a"), statement(ID_B, "b"));
    for (wrong, reason) in [
        (statement("no-uuid", "x"), r#"not a statement: the id "no-uuid" is not a UUID"#),
        (
            r#"{"id":7}"#.to_owned(),
            "not a statement: invalid type: integer `7`, expected a UUID as `id`",
        ),
        (
            r#"{"id":null}"#.to_owned(),
            "not a statement: invalid type: null, expected a UUID as `id`",
        ),
        (r#"{"seed":1,"count":2}"#.to_owned(), "not a statement: it has no `actor`"),
        (format!(r#"{{"id":"{ID_A}","id":"{ID_A}"}}"#), "not a statement: duplicate field `id`"),
    ] {
        let (bodies, messages) = read_all(reader(format!("[{a},{wrong},{b}]")));
        assert_eq!(bodies, [format!("[{a}]"), format!("[{b}]")]);
        assert_eq!(messages, [format!("input: statement 2 (byte {}): {reason}", a.len() + 2)]);
    }
}

#[test]
fn invalid_utf8_is_a_fault_of_its_statement() {
    let a = statement(ID_A, "a");
    let mut bytes = format!("{a}\n{}\n", statement(ID_B, "?")).into_bytes();
    let offset = bytes.iter().rposition(|&byte| byte == b'?').unwrap();
    bytes[offset] = 0xff;
    let (bodies, messages) = read_all(reader(bytes));
    assert_eq!(bodies, [format!("[{a}]")]);
    assert_eq!(
        messages,
        [format!(
            "input: statement 2 (byte {}): the text is not UTF-8 at byte {offset}",
            a.len() + 1
        )]
    );
}

#[test]
fn truncated_gzip_is_read_up_to_its_end() {
    let text: String = (0..3000).map(numbered).collect();
    let mut bytes = gzip(text.as_bytes());
    bytes.truncate(bytes.len() / 2);
    let (bodies, messages) = read_all(reader(bytes));
    assert!(bodies[0].contains(&numbered(999)));
    assert_eq!(messages.len(), 1);
    assert!(messages[0].ends_with("): the gzip data is truncated"), "{messages:?}");
}

#[test]
fn gzip_with_wrong_checksum_is_damaged() {
    let mut bytes = gzip(statement(ID_A, "a").as_bytes());
    let checksum = bytes.len() - 8;
    bytes[checksum] ^= 1;
    let messages = messages(bytes);
    assert_eq!(messages.len(), 1);
    assert!(messages[0].contains("the gzip data is damaged: "), "{messages:?}");
}

#[test]
fn unreadable_input_does_not_affect_others() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    std::fs::write(path("b.json"), statement(ID_B, "b")).unwrap();
    std::fs::write(path("empty.json"), "").unwrap();
    let inputs =
        ["missing.json", "empty.json", "b.json"].map(|name| Input::File(path(name))).into();
    let reader = Reader::new(inputs, Limits::default(), Timestamp::UNIX_EPOCH);
    let (bodies, messages) = read_all(reader);
    assert_eq!(bodies, [format!("[{}]", statement(ID_B, "b"))]);
    assert!(messages[0].contains("missing.json: cannot be opened: "), "{messages:?}");
    assert!(messages[1].ends_with("empty.json: contains no statements"), "{messages:?}");
}

#[test]
fn batch_contains_statements_of_several_inputs() {
    let inputs = [("first", ID_A), ("second", ID_B)]
        .map(|(name, id)| Input::Stream(name.into(), Box::new(io::Cursor::new(statement(id, "x")))))
        .into();
    let mut reader = Reader::new(inputs, Limits::default(), Timestamp::UNIX_EPOCH);
    let mut batch = Batch::new();
    assert!(reader.fill(&mut batch).unwrap());
    assert_eq!(
        [batch.origin(0), batch.origin(1)],
        ["first: statement 1 (byte 0)", "second: statement 1 (byte 0)"]
    );
}

proptest! {
    #[test]
    fn statements_do_not_depend_on_sizes_of_reads(
        sizes in prop::collection::vec(1_usize..300, 1..20),
        separators in prop::collection::vec("[ \r\n\t]{0,4}", 12),
        compressed: bool,
    ) {
        let text: String = separators.iter().enumerate().map(|(number, blank)| format!("{blank}{}", numbered(number as u128))).collect();
        let bytes = if compressed { gzip(text.as_bytes()) } else { text.into_bytes() };
        let expected: Vec<String> = (0..12).map(numbered).collect();
        let (bodies, messages) = read_all(reader_of_pieces(bytes, sizes, Limits::default()));
        prop_assert_eq!((bodies, messages), (vec![format!("[{}]", expected.join(","))], vec![]));
    }

    /// Random bytes contain no valid statement. Each object without the mandatory keys is a fault.
    #[test]
    fn random_bytes_give_messages_and_no_panic(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"{}[],:\"\n ".as_slice())], 0..200),
    ) {
        let (bodies, messages) = read_all(reader(bytes));
        prop_assert!(bodies.is_empty() && !messages.is_empty());
    }

    #[test]
    fn truncated_statement_is_a_fault(cut in 1_usize..100) {
        let text = numbered(1);
        let (bodies, messages) = read_all(reader(&text.as_bytes()[..cut]));
        prop_assert!(bodies.is_empty());
        prop_assert_eq!(messages, ["input: statement 1 (byte 0): the input ends inside the statement"]);
    }
}
