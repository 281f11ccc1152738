//! Builds the query of a chart from its `params`, as Superset's frontend does in the browser. Charts that a user saved in
//! Superset contain their query and do not need this.
//!
//! `tests/fixtures/query-contexts` has the recorded queries of Superset's frontend.

use serde_json::{Map, Value, json};

/// The supported kinds of chart, by Superset's `viz_type`.
pub const KNOWN: [&str; 9] = [
    "big_number_total",
    "big_number",
    "echarts_timeseries_line",
    "echarts_timeseries_bar",
    "echarts_timeseries_smooth",
    "echarts_area",
    "table",
    "heatmap_v2",
    "pie",
];

/// The body of `POST /api/v1/chart/data`. None for an unsupported kind of chart.
pub fn query_context(viz_type: &str, params: &Value, dataset: u64) -> Option<Value> {
    if !KNOWN.contains(&viz_type) {
        return None;
    }
    let chart = Chart { viz_type, params };
    Some(json!({
        "datasource": {"id": dataset, "type": "table"},
        "force": true,
        "queries": [chart.query()],
        "result_format": "json",
        "result_type": "full",
    }))
}

/// The dataset columns that a chart names, except those inside SQL expressions.
pub fn columns(params: &Value) -> Vec<String> {
    let mut names = Vec::new();
    for key in ["x_axis", "groupby", "columns", "all_columns"] {
        names.extend(
            list(&params[key]).iter().filter_map(|column| column.as_str()).map(str::to_string),
        );
    }
    for key in ["metric", "metrics"] {
        names.extend(
            list(&params[key])
                .iter()
                .filter_map(|metric| metric["column"]["column_name"].as_str())
                .map(str::to_string),
        );
    }
    names.extend(
        list(&params["adhoc_filters"])
            .iter()
            .filter_map(|filter| filter["subject"].as_str())
            .map(str::to_string),
    );
    names.sort();
    names.dedup();
    names
}

/// The saved metrics of the dataset that a chart names.
fn metrics(params: &Value) -> Vec<String> {
    // a raw table ignores metrics that remain from another query mode
    if params["query_mode"] == "raw" {
        return Vec::new();
    }
    let metrics = ["metric", "metrics", "timeseries_limit_metric"]
        .into_iter()
        .flat_map(|key| list(&params[key]));
    let mut names: Vec<String> =
        metrics.filter_map(|metric| metric.as_str().map(str::to_string)).collect();
    names.sort();
    names.dedup();
    names
}

/// The columns and saved metrics that a chart names and its dataset lacks, in words. `dataset` is the content of its file
/// or of Superset's API.
pub fn lacks(params: &Value, dataset: &Value) -> Vec<String> {
    let has = |kind: &str, key: &str, name: &str| {
        dataset[kind].as_array().into_iter().flatten().any(|entry| entry[key] == name)
    };
    let columns = columns(params)
        .into_iter()
        .filter(|name| !has("columns", "column_name", name))
        .map(|name| format!("column `{name}`"));
    let metrics = metrics(params)
        .into_iter()
        .filter(|name| !has("metrics", "metric_name", name))
        .map(|name| format!("metric `{name}`"));
    columns.chain(metrics).collect()
}

/// The index fields that a chart reads: its columns, and the fields in the SQL expressions of calculated columns, saved
/// metrics and the chart. `dataset` is the content of Superset's API.
pub fn fields(params: &Value, dataset: &Value) -> Vec<String> {
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_string();
    let known = |kind: &str, key: &str, name: &str| {
        dataset[kind].as_array().into_iter().flatten().find(|entry| entry[key] == name).cloned()
    };
    let mut expressions = Vec::new();
    let mut found = Vec::new();
    for column in columns(params) {
        match known("columns", "column_name", &column)
            .map(|column| text(&column, "expression"))
            .filter(|expression| !expression.is_empty())
        {
            Some(expression) => expressions.push(expression),
            None => found.push(column),
        }
    }
    for metric in ["metric", "metrics"].into_iter().flat_map(|key| list(&params[key])) {
        let saved = metric
            .as_str()
            .and_then(|name| known("metrics", "metric_name", name))
            .map(|metric| text(&metric, "expression"));
        expressions.push(saved.unwrap_or_else(|| text(&metric, "sqlExpression")));
    }
    expressions
        .extend(list(&params["adhoc_filters"]).iter().map(|filter| text(filter, "sqlExpression")));
    found.extend(expressions.iter().flat_map(|expression| quoted(expression)));
    found.sort();
    found.dedup();
    found
}

/// The double-quoted identifiers of an SQL expression, ignoring string literals.
fn quoted(expression: &str) -> Vec<String> {
    let outside_literals = expression.split('\'').step_by(2);
    let identifiers = outside_literals.flat_map(|text| text.split('"').skip(1).step_by(2));
    identifiers.map(str::to_string).collect()
}

struct Chart<'a> {
    viz_type: &'a str,
    params: &'a Value,
}

impl Chart<'_> {
    fn query(&self) -> Value {
        let mut query = self.base();
        let metrics = list(&self.params["metrics"]);
        let ascending = !self.params["order_desc"].as_bool().unwrap_or(true);
        let extra = match self.viz_type {
            "big_number_total" => json!({"columns": [], "metrics": list(&self.params["metric"])}),
            "big_number" => {
                let metric = list(&self.params["metric"]);
                json!({"columns": self.x_axis(), "metrics": metric, "post_processing": self.pivot(&metric, &[], true)})
            }
            "pie" => {
                let metric = list(&self.params["metric"]);
                let sorted = self.params["sort_by_metric"] == true;
                let order = if sorted {
                    metric.iter().map(|metric| json!([metric, false])).collect()
                } else {
                    Vec::new()
                };
                json!({"columns": list(&self.params["groupby"]), "metrics": metric, "orderby": order})
            }
            "heatmap_v2" => self.heatmap(),
            "table" if self.params["query_mode"] == "raw" => {
                let order: Vec<Value> = list(&self.params["order_by_cols"])
                    .iter()
                    .filter_map(|text| serde_json::from_str(text.as_str()?).ok())
                    .collect();
                json!({"columns": list(&self.params["all_columns"]), "orderby": order})
            }
            "table" => {
                let order = self.order(&metrics, ascending);
                let columns: Vec<Value> = list(&self.params["groupby"])
                    .iter()
                    .map(|column| self.grained(column))
                    .collect();
                json!({"columns": columns, "metrics": metrics, "orderby": order})
            }
            _ => {
                let series = list(&self.params["groupby"]);
                let columns: Vec<Value> =
                    self.x_axis().into_iter().chain(series.iter().cloned()).collect();
                let shaped =
                    self.pivot(&metrics, &series, self.params["show_empty_columns"] != true);
                let order = self.order(&metrics, ascending);
                json!({"columns": columns, "metrics": metrics, "series_columns": series, "orderby": order, "post_processing": shaped})
            }
        };
        merge(&mut query, extra);
        query
    }

    /// Orders by the chosen metric, else by the first.
    fn order(&self, metrics: &[Value], ascending: bool) -> Vec<Value> {
        let by = Some(&self.params["timeseries_limit_metric"])
            .filter(|metric| !metric.is_null())
            .or(metrics.first());
        by.map(|metric| json!([metric, ascending])).into_iter().collect()
    }

    /// Post-processing that turns each series into a column.
    fn pivot(&self, metrics: &[Value], series: &[Value], drop_missing: bool) -> Vec<Value> {
        let aggregates: Map<String, Value> =
            metrics.iter().map(|metric| (label(metric), json!({"operator": "mean"}))).collect();
        let index: Vec<Value> = self.x_axis().iter().map(|axis| axis["label"].clone()).collect();
        let columns: Vec<String> = series.iter().map(label).collect();
        let pivot = json!({"index": index, "columns": columns, "aggregates": aggregates, "drop_missing_columns": drop_missing});
        let mut operations = vec![json!({"operation": "pivot", "options": pivot})];
        if let ([metric], true, true) =
            (metrics, !series.is_empty(), self.params["truncate_metric"] == true)
        {
            let renamed = Map::from_iter([(label(metric), Value::Null)]);
            operations.push(json!({"operation": "rename", "options": {"columns": renamed, "level": 0, "inplace": true}}));
        }
        if let (by @ Value::String(_), true) = (&self.params["x_axis_sort"], series.is_empty()) {
            operations.push(json!({"operation": "sort", "options": {"by": by, "ascending": self.params["x_axis_sort_asc"] == true}}));
        }
        operations.push(json!({"operation": "flatten"}));
        operations
    }

    /// The fields common to all kinds of chart: filters, time range, limits.
    fn base(&self) -> Value {
        let mut filters = Vec::new();
        let (mut wheres, mut havings) = (Vec::new(), Vec::new());
        for filter in list(&self.params["adhoc_filters"]) {
            let having = filter["clause"] == "HAVING";
            if filter["expressionType"] == "SQL" {
                let expression = filter["sqlExpression"].as_str().unwrap_or_default();
                if having { &mut havings } else { &mut wheres }.push(format!("({expression})"));
            } else if !having {
                let mut simple = json!({"col": filter["subject"], "op": filter["operator"]});
                if !filter["comparator"].is_null() {
                    simple["val"] = filter["comparator"].clone();
                }
                filters.push(simple);
            }
        }
        let mut extras = json!({"having": havings.join(" AND "), "where": wheres.join(" AND ")});
        if let grain @ Value::String(_) = &self.params["time_grain_sqla"] {
            extras["time_grain_sqla"] = grain.clone();
        }
        let mut query = json!({
            "filters": filters,
            "extras": extras,
            "applied_time_extras": {},
            "annotation_layers": [],
            "row_limit": self.params["row_limit"].as_u64().unwrap_or(10_000),
            "order_desc": self.params["order_desc"].as_bool().unwrap_or(true),
            "url_params": {},
            "custom_params": {},
            "custom_form_data": {},
        });
        for key in ["time_range", "granularity", "series_limit", "series_limit_metric"] {
            if !self.params[key].is_null() {
                query[key] = self.params[key].clone();
            }
        }
        query
    }

    fn x_axis(&self) -> Vec<Value> {
        match &self.params["x_axis"] {
            Value::Null => Vec::new(),
            column => vec![self.base_axis(column)],
        }
    }

    /// The axis of a chart, with a time grain for a time axis.
    fn base_axis(&self, column: &Value) -> Value {
        let Some(name) = column.as_str() else {
            let mut column = column.clone();
            column["columnType"] = json!("BASE_AXIS");
            return column;
        };
        let mut axis = json!({"columnType": "BASE_AXIS", "sqlExpression": name, "label": name, "expressionType": "SQL", "isColumnReference": true});
        if let grain @ Value::String(_) = &self.params["time_grain_sqla"] {
            axis["timeGrain"] = grain.clone();
        }
        axis
    }

    /// A column of a table, with a time grain for a time column.
    fn grained(&self, column: &Value) -> Value {
        let temporal = column
            .as_str()
            .is_some_and(|name| self.params["temporal_columns_lookup"][name] == true);
        if !temporal || !self.params["time_grain_sqla"].is_string() {
            return column.clone();
        }
        let mut axis = self.base_axis(column);
        if let Value::Object(axis) = &mut axis {
            axis.remove("isColumnReference");
        }
        axis
    }

    fn heatmap(&self) -> Value {
        let metric = list(&self.params["metric"]);
        let rows = list(&self.params["groupby"]);
        let columns: Vec<Value> = self.x_axis().into_iter().chain(rows.iter().cloned()).collect();
        let order = |key: &str, column: Option<&Value>| {
            let sort = self.params[key].as_str()?;
            let by = if sort.starts_with("value") { metric.first() } else { column };
            Some(json!([by?, sort.ends_with("asc")]))
        };
        let orders: Vec<Value> = [
            order("sort_x_axis", Some(&self.params["x_axis"]).filter(|axis| !axis.is_null())),
            order("sort_y_axis", rows.first()),
        ]
        .into_iter()
        .flatten()
        .collect();
        let ranked: Vec<Value> = metric
            .first()
            .map(|metric| json!({"operation": "rank", "options": {"metric": label(metric)}}))
            .into_iter()
            .collect();
        json!({"columns": columns, "metrics": metric, "orderby": orders, "post_processing": ranked})
    }
}

/// The name of a metric or column in the result.
fn label(item: &Value) -> String {
    item.as_str().or(item["label"].as_str()).unwrap_or_default().to_string()
}

/// A field of `params` that contains one item or a list.
fn list(value: &Value) -> Vec<Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(list) => list.clone(),
        one => vec![one.clone()],
    }
}

fn merge(query: &mut Value, extra: Value) {
    if let (Value::Object(query), Value::Object(extra)) = (query, extra) {
        query.extend::<Map<String, Value>>(extra);
    }
}

/// Whether a mapping has a field or a multi-field. A dotted name is one key, because the index has no object fields.
pub fn maps(mappings: &Value, field: &str) -> bool {
    let fields = &mappings["properties"];
    let below = field.rsplit_once('.').and_then(|(field, last)| fields[field]["fields"].get(last));
    fields.get(field).or(below).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::components::datalake::client::{INDEX, SIZES};
    use crate::components::dataviz::client::Kind;
    use crate::components::dataviz::dashboards::asset::Asset;
    use crate::components::dataviz::dashboards::bundle::Bundle;

    /// A query without the fields that do not change its meaning: empty ones, and those that Superset adds.
    fn essence(query: &Value) -> Value {
        let left_out = ["series_limit", "group_others_when_limit_reached", "series_limit_metric"];
        let says = |value: &Value| {
            !matches!(value, Value::Null)
                && value != &json!([])
                && value != &json!({})
                && value != &json!("")
        };
        Value::Object(
            query
                .as_object()
                .unwrap()
                .iter()
                .filter(|(key, value)| says(value) && !left_out.contains(&key.as_str()))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect(),
        )
    }

    #[test]
    fn query_of_each_chart_equals_the_one_of_supersets_frontend() {
        for chart in Bundle::ours().unwrap().of_kind(Kind::Chart) {
            let path = format!(
                "{}/tests/fixtures/query-contexts/{}.json",
                env!("CARGO_MANIFEST_DIR"),
                chart.name
            );
            let recorded: Value = serde_json::from_str(
                &std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}")),
            )
            .unwrap();
            let viz_type = chart.content["viz_type"].as_str().unwrap();
            let built = query_context(viz_type, &chart.content["params"], 1)
                .unwrap_or_else(|| panic!("{}: {viz_type} is not known", chart.name));
            let mut built = essence(&built["queries"][0]);
            if recorded["row_limit"].is_null() {
                built.as_object_mut().unwrap().remove("row_limit");
            }
            assert_eq!(built, essence(&recorded), "{}", chart.name);
        }
    }

    /// The dataset of a chart, from its file.
    fn dataset_of(bundle: &Bundle, chart: &Asset) -> Value {
        let dataset = bundle
            .find(Kind::Dataset, |dataset| chart.content["dataset_uuid"] == json!(dataset.uuid))
            .unwrap();
        Value::Object(dataset.content.clone())
    }

    #[test]
    fn every_field_of_every_chart_is_in_the_mapping() {
        let mapping = |text| serde_json::from_str::<Value>(text).unwrap()["mappings"].clone();
        let statements = mapping(include_str!("../../../../manifests/statements.json"));
        let sizes = mapping(include_str!("../../../../manifests/data-lake-size.json"));
        let bundle = Bundle::ours().unwrap();
        for chart in bundle.of_kind(Kind::Chart) {
            let dataset = dataset_of(&bundle, chart);
            let mapping = if dataset["table_name"] == SIZES { &sizes } else { &statements };
            let fields = fields(&chart.content["params"], &dataset);
            assert!(!fields.is_empty(), "{} reads nothing", chart.name);
            for field in fields {
                assert!(
                    maps(mapping, &field),
                    "{} reads `{field}`, which is not in the mapping",
                    chart.name
                );
            }
        }
    }

    #[test]
    fn missing_columns_and_metrics_of_a_dataset_are_named() {
        let bundle = Bundle::ours().unwrap();
        for chart in bundle.of_kind(Kind::Chart) {
            assert_eq!(
                lacks(&chart.content["params"], &dataset_of(&bundle, chart)),
                [""; 0],
                "{}",
                chart.name
            );
        }
        let statements = bundle.find(Kind::Dataset, |dataset| dataset.title() == INDEX).unwrap();
        let mut dataset = Value::Object(statements.content.clone());
        dataset["metrics"]
            .as_array_mut()
            .unwrap()
            .retain(|metric| metric["metric_name"] != "learners");
        let params = json!({"x_axis": "timestamp", "groupby": ["age"], "metrics": ["learners", "events", {"sqlExpression": "MAX(1)", "label": "m"}]});
        assert_eq!(lacks(&params, &dataset), ["column `age`", "metric `learners`"]);
        assert_eq!(
            lacks(
                &json!({"query_mode": "raw", "all_columns": ["timestamp"], "metrics": ["learners"]}),
                &dataset
            ),
            [""; 0]
        );
    }

    #[test]
    fn fields_include_those_in_expressions_of_columns_and_metrics() {
        let dataset = json!({"columns": [{"column_name": "verb_name", "expression": "REPLACE(\"verb.id\", 'a \"quoted\" text', '')"},
                                         {"column_name": "timestamp", "expression": null}],
                             "metrics": [{"metric_name": "viewings", "expression": "COUNT(DISTINCT \"la_video_session\")"}]});
        let params = json!({"x_axis": "verb_name", "groupby": ["timestamp"], "metrics": ["viewings", {"sqlExpression": "MAX(\"stored\")"}]});
        assert_eq!(
            fields(&params, &dataset),
            ["la_video_session", "stored", "timestamp", "verb.id"]
        );
    }
}
