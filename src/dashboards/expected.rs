//! Expected results: the rows that each chart must show for known statements.
//!
//! The file is JSON: `{"charts": {NAME: {"columns": [..], "rows": [[..]], "sums": {COLUMN: NUMBER}}}}`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::components::dataviz::client::{Rows, TEMPORAL};
use crate::error::Failure;

use super::live::Live;

/// The relative difference below which two numbers are equal: sums of decimals depend on their order.
const TOLERANCE: f64 = 1e-6;

#[derive(Debug, Deserialize)]
pub struct ExpectedResults {
    pub charts: BTreeMap<String, ExpectedChart>,
}

/// The expected result of one chart: its rows, or, where rows depend on the time of storage, the sums of some columns.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct ExpectedChart {
    #[serde(default)]
    pub columns: Vec<String>,
    pub rows: Option<Vec<Vec<Value>>>,
    #[serde(default)]
    pub sums: BTreeMap<String, f64>,
}

impl ExpectedResults {
    /// # Errors
    /// When the file cannot be read, or is not a file of expected results.
    pub fn read(path: &Path) -> Result<Self> {
        let invalid = |why: String| Failure::usage(format!("{}: {why}", path.display()));
        let text = std::fs::read_to_string(path)
            .map_err(|error| invalid(format!("cannot read the file: {error}")))?;
        serde_json::from_str(&text).map_err(|error| {
            invalid(format!("not a file of expected results: {error}"))
                .hint("run `kubectl lastack seed --write DIR` to create DIR/expected-results.json")
                .into()
        })
    }
}

impl ExpectedResults {
    /// Keeps the expected results of the requested charts; of all charts when `wanted` is empty.
    pub fn about(mut self, wanted: &[String], charts: &[Live]) -> Self {
        self.charts
            .retain(|name, _| wanted.is_empty() || charts.iter().any(|chart| chart.name == *name));
        self
    }
}

impl ExpectedChart {
    /// The difference between the rows and the expected result, in one sentence. None when they agree.
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
            return Some(format!(
                "has no column `{missing}`; its columns are {}",
                quoted(&rows.colnames)
            ));
        }
        for (column, wanted) in &self.sums {
            let sum: f64 = rows.data.iter().filter_map(|row| row.get(column)?.as_f64()).sum();
            if !same_number(sum, *wanted) {
                return Some(format!("`{column}` adds up to {sum}, not {wanted}"));
            }
        }
        let Some(wanted) = &self.rows else { return None };
        if let Some(more) = rows.colnames.iter().find(|column| !self.columns.contains(column)) {
            return Some(format!("has an unexpected column `{more}`"));
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
            None => found.first().map(|row| format!("shows an unexpected row {}", shown(row))),
        }
    }
}

/// A cell in the format of the expected results: a timestamp as a date, with its time unless that is midnight.
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

/// The number of equal cells of two rows.
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

    fn expected(rows: Value) -> ExpectedChart {
        serde_json::from_value(json!({"columns": ["Day", "Learners"], "rows": rows})).unwrap()
    }

    #[test]
    fn rows_match_in_any_order_and_with_any_number_type() {
        assert_eq!(expected(json!([["2026-02-24", 28], ["2026-02-23", 24]])).judge(&rows()), None);
    }

    #[test]
    fn wrong_number_missing_row_extra_row_and_extra_column_are_named() {
        let difference = |wanted| expected(wanted).judge(&rows()).unwrap();
        assert_eq!(
            difference(json!([["2026-02-24", 29], ["2026-02-23", 24]])),
            "shows (2026-02-24, 28), expected (2026-02-24, 29)"
        );
        assert_eq!(
            difference(json!([["2026-02-23", 24]])),
            "shows an unexpected row (2026-02-24, 28)"
        );
        assert_eq!(
            difference(json!([["2026-02-23", 24], ["2026-02-24", 28], ["2026-02-25", 1]])),
            "lacks (2026-02-25, 1)"
        );
        let renamed = ExpectedChart {
            columns: vec!["Day".into(), "Persons".into()],
            ..ExpectedChart::default()
        };
        assert_eq!(
            renamed.judge(&rows()).unwrap(),
            "has no column `Persons`; its columns are `Day`, `Learners`"
        );
        let fewer = ExpectedChart {
            columns: vec!["Learners".into()],
            rows: Some(Vec::new()),
            ..ExpectedChart::default()
        };
        assert_eq!(fewer.judge(&rows()).unwrap(), "has an unexpected column `Day`");
    }

    #[test]
    fn chart_of_storage_times_is_compared_by_its_sum() {
        let sums = |sum: u64| {
            serde_json::from_value::<ExpectedChart>(json!({"sums": {"Learners": sum}})).unwrap()
        };
        assert_eq!(sums(52).judge(&rows()), None);
        assert_eq!(sums(53).judge(&rows()).unwrap(), "`Learners` adds up to 52, not 53");
    }
}
