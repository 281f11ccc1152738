//! The data that Superset gives to the account `teacher`, whatever a browser asks for.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use crate::components::{password_of, superset};
use crate::stack;
use crate::superset::known_statements;

/// A request for the data of a chart, and the expected status.
struct Case {
    what: String,
    status: &'static str,
    body: Value,
}

struct Teacher {
    password: String,
    /// By title.
    charts: BTreeMap<String, Value>,
}

impl Teacher {
    fn sign_in() -> Self {
        let password = password_of(stack(), "teacher");
        let mut teacher = Self { password, charts: BTreeMap::new() };
        for chart in teacher.list("chart") {
            let title = chart["slice_name"].as_str().expect("a title").to_string();
            teacher.charts.insert(title, chart);
        }
        teacher
    }

    fn run(&self, script: &str) -> String {
        superset(stack(), "teacher", &self.password, script).good().stdout
    }

    fn list(&self, kind: &str) -> Vec<Value> {
        let text = self.run(&format!("get '{kind}/?q=(page_size:100)'"));
        let list: Value = serde_json::from_str(&text).expect("a list of Superset");
        list["result"].as_array().expect("a list of Superset").clone()
    }

    /// The body that the page of a chart sends for this query. `name` is that of the chart's file.
    fn body(&self, name: &str, query: Value) -> Value {
        let file = fs::read_to_string(format!("dashboards/charts/{name}.yaml")).expect("a chart");
        let title = file.lines().next().and_then(|line| line.strip_prefix("slice_name: "));
        let title = title.expect("a title").trim_matches('\'');
        let chart =
            self.charts.get(title).unwrap_or_else(|| panic!("a teacher should see {title}"));
        json!({
            "datasource": {"id": chart["datasource_id"], "type": "table"}, "queries": [query],
            "form_data": {"slice_id": chart["id"]}, "result_type": "full", "result_format": "json",
        })
    }

    fn assert_statuses(&self, cases: &[Case]) {
        let bodies: Vec<_> = cases.iter().map(|case| case.body.to_string()).collect();
        let script = format!(
            "while IFS= read -r body; do code chart/data POST \"$body\"; echo; done <<'EOF'\n{}\nEOF",
            bodies.join("\n")
        );
        let statuses = self.run(&script);
        assert_eq!(statuses.lines().count(), cases.len(), "{statuses}");
        for (case, status) in cases.iter().zip(statuses.lines()) {
            assert_eq!(status, case.status, "{}: {}", case.what, case.body);
        }
    }
}

/// The query that the page of a chart sends.
fn recorded(name: &str) -> Value {
    let path = format!("tests/fixtures/query-contexts/{name}.json");
    serde_json::from_str(&fs::read_to_string(path).expect("a recorded query")).expect("JSON")
}

fn expression(sql: &str) -> Value {
    json!({"label": "mine", "expressionType": "SQL", "sqlExpression": sql})
}

#[test]
fn teacher_receives_the_data_of_every_chart_and_filter() {
    // Superset caches each result for a minute, and the next test expects them
    known_statements();
    let teacher = Teacher::sign_in();
    let names = fs::read_dir("dashboards/charts")
        .expect("the charts")
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().trim_end_matches(".yaml").to_string());
    let mut cases: Vec<Case> = names
        .map(|name| Case { body: teacher.body(&name, recorded(&name)), what: name, status: "200" })
        .collect();
    let mut of_course = recorded("events");
    let filter = json!({"col": "la_part_of", "op": "IN", "val": ["Cells and Life"]});
    of_course["filters"].as_array_mut().expect("filters").push(filter);
    let body = teacher.body("events", of_course);
    cases.push(Case { what: "a chart that is filtered by course".into(), status: "200", body });
    let dashboards = teacher.list("dashboard");
    let mut dashboards = dashboards.iter();
    let alive = dashboards.find(|dashboard| dashboard["slug"] == "is-the-course-alive");
    let values = json!({"columns": ["la_part_of"], "metrics": ["events"], "orderby": [["events", false]],
                        "filters": [{"col": "la_part_of", "op": "IS NOT NULL"}], "row_limit": 1000});
    let mut body = teacher.body("events", values);
    body["form_data"] = json!({"type": "NATIVE_FILTER", "native_filter_id": "NATIVE_FILTER-course",
                               "dashboardId": alive.expect("the first dashboard")["id"]});
    cases.push(Case { what: "the values of a filter".into(), status: "200", body: body.clone() });
    body["queries"][0]["columns"] = json!(["actor.name"]);
    cases.push(Case { what: "another column than that of the filter".into(), status: "403", body });
    teacher.assert_statuses(&cases);
}

#[test]
fn teacher_receives_nothing_that_no_chart_shows() {
    let teacher = Teacher::sign_in();
    let mut cases = Vec::new();
    let mut rejected = |what: &str, name: &str, change: &dyn Fn(&mut Value)| {
        let mut body = teacher.body(name, recorded(name));
        change(&mut body);
        cases.push(Case { what: what.into(), status: "403", body });
    };
    let in_query = |path: &'static str, value: Value| {
        move |body: &mut Value| body["queries"][0][path] = value.clone()
    };
    let learners = "returning-learners";
    let name = "\"actor.name\"";
    let largest = json!({"expressionType": "SIMPLE", "aggregate": "MAX", "label": "mine",
                         "column": {"column_name": "actor.name"}});
    for (what, path, value) in [
        ("a column of the data set", "columns", json!(["actor.account.name", "actor.name"])),
        ("an expression as column", "columns", json!([expression(name)])),
        ("a metric of an expression", "metrics", json!([expression("MAX(\"actor.name\")")])),
        ("a metric of a column", "metrics", json!([largest])),
        ("an order", "orderby", json!([[expression(name), true]])),
        ("a limit of series", "series_limit_metric", expression("MAX(\"actor.name\")")),
        ("rows without metrics", "metrics", json!([])),
        ("a condition of SQL", "extras", json!({"where": "(\"actor.name\" LIKE 'A%')"})),
        ("a condition of groups", "extras", json!({"having": "(MAX(\"actor.name\") LIKE 'A%')"})),
        (
            "a filter by a column",
            "filters",
            json!([{"col": "actor.name", "op": "LIKE", "val": "A%"}]),
        ),
        (
            "a filter by an expression",
            "filters",
            json!([{"col": expression(name), "op": "LIKE", "val": "A%"}]),
        ),
        ("further rows", "row_offset", json!(10_000)),
        ("samples in a query", "result_type", json!("samples")),
        (
            "the query of another chart",
            "annotation_layers",
            json!([{
                "annotationType": "EVENT", "sourceType": "table", "name": "mine", "value": 1,
                "overrides": {}, "show": true, "showMarkers": false, "style": "solid",
            }]),
        ),
    ] {
        rejected(what, learners, &in_query(path, value));
    }
    rejected("more rows", "newest-statements", &in_query("row_limit", json!(10_000)));
    for kind in ["samples", "query", "drill_detail"] {
        rejected(kind, learners, &|body| body["result_type"] = json!(kind));
    }
    rejected("no chart", learners, &|body| body["form_data"] = json!({}));
    rejected("no form", learners, &|body| body["form_data"] = json!(null));
    rejected("a filter that does not exist", learners, &|body| {
        body["form_data"] =
            json!({"type": "NATIVE_FILTER", "native_filter_id": "mine", "dashboardId": 1});
    });
    let another = teacher.body("events", json!({}))["form_data"].clone();
    rejected("another chart", learners, &|body| body["form_data"] = another.clone());
    let size = teacher.body("index-size", json!({}))["datasource"].clone();
    rejected("another data set", learners, &|body| body["datasource"] = size.clone());
    teacher.assert_statuses(&cases);

    let source = teacher.body("events", json!({}))["datasource"]["id"].clone();
    let values = teacher.run(&format!("code datasource/table/{source}/column/actor.name/values/"));
    assert_eq!(values, "403", "the values of a column");
}
