//! Tables in kubectl's style: no borders, three spaces between columns, no trailing spaces. Cells are foreign text.

use tabled::builder::Builder;
use tabled::settings::{Padding, Style};

use super::text;

pub fn table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut builder = Builder::default();
    builder.push_record(header);
    for row in rows {
        builder.push_record(row.map(|cell| match cell.is_empty() {
            true => "-".to_string(),
            // a line feed would create another row
            false => text::clean(&cell.replace('\n', " ")),
        }));
    }
    let text = builder.build().with(Style::empty()).with(Padding::new(0, 3, 0, 0)).to_string();
    text.lines().flat_map(|line| [line.trim_end(), "\n"]).collect()
}

/// A table without its header, for scripts.
pub fn without_header(table: &str) -> &str {
    table.split_once('\n').map_or("", |(_, rows)| rows)
}

/// Truncates the rows of a table at the width of the terminal. Other outputs get complete rows.
pub fn fit(table: String) -> String {
    let terminal = console::Term::stdout();
    match terminal.size_checked() {
        Some((_, columns)) if terminal.is_term() => cut(&table, columns.into()),
        _ => table,
    }
}

fn cut(table: &str, width: usize) -> String {
    let lines = table.lines().map(|line| console::truncate_str(line, width, "…").into_owned());
    lines.flat_map(|line| [line, "\n".to_string()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_has_the_format_of_kubectl() {
        let text = table(
            ["NAME", "PODS"],
            [["ralph".to_string(), "1/1".to_string()], ["é".to_string(), String::new()]],
        );
        assert_eq!(text, "NAME    PODS\nralph   1/1\né       -\n");
    }

    #[test]
    fn table_cell_of_foreign_text_makes_no_row_and_controls_nothing() {
        let text = table(["A"], [["x\nforged   row\u{1b}[2J".to_string()]]);
        assert_eq!(text, "A\nx forged   row\\u{1b}[2J\n");
    }

    #[test]
    fn table_on_a_narrow_terminal_is_cut_at_its_width() {
        assert_eq!(cut("abcdef\n日本語\n", 4), "abc…\n日…\n");
    }
}
