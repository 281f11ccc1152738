//! Tables in kubectl's style: no borders, three spaces between columns, no trailing spaces.

use tabled::builder::Builder;
use tabled::settings::{Padding, Style};

pub fn table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut builder = Builder::default();
    builder.push_record(header);
    for row in rows {
        builder.push_record(row.map(|cell| if cell.is_empty() { "-".to_string() } else { cell }));
    }
    let text = builder.build().with(Style::empty()).with(Padding::new(0, 3, 0, 0)).to_string();
    text.lines().flat_map(|line| [line.trim_end(), "\n"]).collect()
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
}
