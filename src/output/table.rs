//! Tables in kubectl's style: no borders, three spaces between columns, no trailing spaces. Cells are foreign text.
//!
//! A terminal that is narrower than the table gets a list instead: a row would continue in the next line.

use std::fmt;

use tabled::builder::Builder;
use tabled::settings::{Padding, Style};

use super::text;

pub struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    has_header: bool,
}

/// The text of an empty cell.
const EMPTY: &str = "-";

pub fn table<const N: usize>(
    header: [&'static str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> Table {
    // a line feed would create another row
    let cell = |cell: String| match cell.is_empty() {
        true => EMPTY.to_string(),
        false => text::clean(&cell.replace('\n', " ")),
    };
    let rows = rows.into_iter().map(|row| row.into_iter().map(cell).collect());
    Table { header: header.into(), rows: rows.collect(), has_header: true }
}

impl Table {
    /// The same without its header, for scripts.
    pub fn without_header(self) -> Self {
        Self { has_header: false, ..self }
    }

    /// The rows, cut at the width of the terminal. Other outputs get complete rows.
    pub fn cut(&self) -> String {
        match columns() {
            Some(width) => cut(&self.aligned(), width),
            None => self.aligned(),
        }
    }

    fn aligned(&self) -> String {
        let mut builder = Builder::default();
        builder.push_record(self.header.iter().copied());
        for row in &self.rows {
            builder.push_record(row);
        }
        let text = builder.build().with(Style::empty()).with(Padding::new(0, 3, 0, 0)).to_string();
        let lines = text.lines().skip(usize::from(!self.has_header));
        lines.flat_map(|line| [line.trim_end(), "\n"]).collect()
    }

    /// A line for each cell, below the first cell of its row.
    fn listed(&self) -> String {
        let width = self.header.iter().map(|name| name.len()).max().unwrap_or_default();
        let mut text = String::new();
        for row in &self.rows {
            let mut cells = self.header.iter().zip(row);
            text.extend(cells.next().map(|(_, first)| format!("{first}\n")));
            for (name, cell) in cells.filter(|(_, cell)| *cell != EMPTY) {
                text.push_str(&format!("  {name:<width$}  {cell}\n"));
            }
        }
        text
    }

    fn shown(&self, columns: Option<usize>) -> String {
        let text = self.aligned();
        let fits =
            |width: usize| text.lines().all(|line| console::measure_text_width(line) <= width);
        match columns {
            Some(width) if !fits(width) => self.listed(),
            _ => text,
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown(columns()))
    }
}

/// The width of the terminal. None: stdout is no terminal.
fn columns() -> Option<usize> {
    let terminal = console::Term::stdout();
    let (_, columns) = terminal.size_checked().filter(|_| terminal.is_term())?;
    Some(columns.into())
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
        assert_eq!(text.to_string(), "NAME    PODS\nralph   1/1\né       -\n");
        assert_eq!(text.without_header().to_string(), "ralph   1/1\né       -\n");
    }

    #[test]
    fn table_cell_of_foreign_text_makes_no_row_and_controls_nothing() {
        let text = table(["A"], [["x\nforged   row\u{1b}[2J".to_string()]]);
        assert_eq!(text.to_string(), "A\nx forged   row\\u{1b}[2J\n");
    }

    #[test]
    fn table_that_does_not_fit_is_a_list() {
        let row = ["ralph", "1/1", "", "http://lrs-ralph"].map(String::from);
        let table = table(["NAME", "PODS", "NEWEST", "URL"], [row]);
        assert_eq!(table.shown(Some(80)), table.aligned());
        assert_eq!(table.shown(None), table.aligned());
        assert_eq!(table.shown(Some(30)), "ralph\n  PODS    1/1\n  URL     http://lrs-ralph\n");
    }

    #[test]
    fn table_of_long_cells_is_cut_at_the_width_of_the_terminal() {
        assert_eq!(cut("abcdef\n日本語\n", 4), "abc…\n日…\n");
    }
}
