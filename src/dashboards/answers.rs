//! The known answers: what each chart must show for known statements.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::components::dataviz::client::{Rows, TEMPORAL};
use crate::error::Failure;

use super::live::Live;

/// Two numbers that differ by less than this part of them are the same: sums of decimals depend on their order.
const TOLERANCE: f64 = 1e-6;

#[derive(Debug, Deserialize)]
pub struct Answers {
    pub charts: BTreeMap<String, Answer>,
}

/// What one chart must show: its rows, or, where the time of storing plays a part, the sums of some columns.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Answer {
    #[serde(default)]
    pub columns: Vec<String>,
    pub rows: Option<Vec<Vec<Value>>>,
    #[serde(default)]
    pub sums: BTreeMap<String, f64>,
}

impl Answers {
    pub fn read(path: &Path) -> Result<Self> {
        let fault = |why: String| Failure::usage(format!("{} {why}", path.display()));
        let text = std::fs::read_to_string(path)
            .map_err(|error| fault(format!("cannot be read: {error}")))?;
        serde_json::from_str(&text).map_err(|error| {
            fault(format!("is no file of known answers: {error}"))
                .hint("`kubectl lastack seed --write DIR` makes one as DIR/answers.json")
                .into()
        })
    }
}

impl Answers {
    /// Only the answers of the charts that were asked for; all when none was.
    pub fn about(mut self, wanted: &[String], charts: &[Live]) -> Self {
        self.charts
            .retain(|name, _| wanted.is_empty() || charts.iter().any(|chart| chart.name == *name));
        self
    }
}

impl Answer {
    /// What is wrong with the rows, in one sentence. None when nothing is.
    pub fn judge(&self, rows: &Rows) -> Option<String> {
        let columns: Vec<&str> = self
            .columns
            .iter()
            .map(String::as_str)
            .chain(self.sums.keys().map(String::as_str))
            .collect();
        if let Some(missing) =
            columns.iter().find(|name| !rows.colnames.iter().any(|column| column == *name))
        {
            return Some(format!("has no column `{missing}`, but {}", quoted(&rows.colnames)));
        }
        for (column, wanted) in &self.sums {
            let sum: f64 = rows.data.iter().filter_map(|row| row.get(column)?.as_f64()).sum();
            if !same_number(sum, *wanted) {
                return Some(format!("`{column}` adds up to {sum}, not {wanted}"));
            }
        }
        let Some(wanted) = &self.rows else { return None };
        if let Some(more) = rows.colnames.iter().find(|column| !self.columns.contains(column)) {
            return Some(format!("has a column `{more}` that nobody expects"));
        }
        let mut found: Vec<Vec<Value>> = rows
            .data
            .iter()
            .map(|row| self.columns.iter().map(|name| cell(rows, row, name)).collect())
            .collect();
        let mut unmet = None;
        for row in wanted {
            match found.iter().position(|other| same_row(other, row)) {
                Some(position) => drop(found.swap_remove(position)),
                None => unmet = unmet.or(Some(row)),
            }
        }
        match unmet {
            Some(wanted) => Some(match found.iter().max_by_key(|row| alike(row, wanted)) {
                Some(nearest) => format!("shows {}, expected {}", shown(nearest), shown(wanted)),
                None => format!("lacks {}", shown(wanted)),
            }),
            None => found.first().map(|row| format!("shows {}, which is not expected", shown(row))),
        }
    }
}

/// A cell as the answers write it: a time as its date, or with its hour where it has one.
fn cell(rows: &Rows, row: &Map<String, Value>, name: &str) -> Value {
    let value = row.get(name).cloned().unwrap_or_default();
    let temporal =
        rows.colnames.iter().position(|column| column == name).and_then(|at| rows.coltypes.get(at))
            == Some(&TEMPORAL);
    match value
        .as_f64()
        .filter(|_| temporal)
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms as i64).ok())
    {
        None => value,
        Some(time) => {
            let text = time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            Value::String(text.strip_suffix("T00:00:00Z").map_or(text.clone(), str::to_string))
        }
    }
}

/// In how many cells two rows agree.
fn alike(a: &[Value], b: &[Value]) -> usize {
    a.iter().zip(b).filter(|(a, b)| same(a, b)).count()
}

fn same_row(a: &[Value], b: &[Value]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
}

fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => same_number(a, b),
        _ => a == b,
    }
}

fn same_number(a: f64, b: f64) -> bool {
    (a - b).abs() <= TOLERANCE * a.abs().max(b.abs()).max(1.0)
}

fn shown(row: &[Value]) -> String {
    let text = |cell: &Value| match (cell, cell.as_f64()) {
        (Value::String(text), _) => text.clone(),
        (_, Some(number)) => number.to_string(),
        _ => cell.to_string(),
    };
    format!("({})", row.iter().map(text).collect::<Vec<_>>().join(", "))
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rows() -> Rows {
        serde_json::from_value(json!({
            "colnames": ["Day", "Learners"], "coltypes": [2, 0],
            "data": [{"Day": 1_771_804_800_000_i64, "Learners": 24}, {"Day": 1_771_891_200_000_i64, "Learners": 28.0}],
        }))
        .unwrap()
    }

    fn answer(rows: Value) -> Answer {
        serde_json::from_value(json!({"columns": ["Day", "Learners"], "rows": rows})).unwrap()
    }

    #[test]
    fn rows_in_any_order_and_numbers_of_any_kind_are_the_answer() {
        assert_eq!(answer(json!([["2026-02-24", 28], ["2026-02-23", 24]])).judge(&rows()), None);
    }

    #[test]
    fn a_wrong_number_a_missing_row_one_too_many_and_another_column_are_named() {
        let fault = |wanted| answer(wanted).judge(&rows()).unwrap();
        assert_eq!(
            fault(json!([["2026-02-24", 29], ["2026-02-23", 24]])),
            "shows (2026-02-24, 28), expected (2026-02-24, 29)"
        );
        assert_eq!(
            fault(json!([["2026-02-23", 24]])),
            "shows (2026-02-24, 28), which is not expected"
        );
        assert_eq!(
            fault(json!([["2026-02-23", 24], ["2026-02-24", 28], ["2026-02-25", 1]])),
            "lacks (2026-02-25, 1)"
        );
        let renamed = Answer { columns: vec!["Day".into(), "People".into()], ..Answer::default() };
        assert_eq!(
            renamed.judge(&rows()).unwrap(),
            "has no column `People`, but `Day`, `Learners`"
        );
        let fewer = Answer {
            columns: vec!["Learners".into()],
            rows: Some(Vec::new()),
            ..Answer::default()
        };
        assert_eq!(fewer.judge(&rows()).unwrap(), "has a column `Day` that nobody expects");
    }

    #[test]
    fn a_chart_of_arrival_times_is_judged_by_its_sum() {
        let sums = |sum: u64| {
            serde_json::from_value::<Answer>(json!({"sums": {"Learners": sum}})).unwrap()
        };
        assert_eq!(sums(52).judge(&rows()), None);
        assert_eq!(sums(53).judge(&rows()).unwrap(), "`Learners` adds up to 52, not 53");
    }
}
