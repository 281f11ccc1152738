//! The query of a chart: what Superset's own pages build of a chart's `params` in the browser, built here, so that
//! a chart of a file can be checked without one. A chart that a person saved in Superset brings its own.

use serde_json::{Map, Value, json};

/// The kinds of chart whose query is known here.
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

/// The body of `POST /api/v1/chart/data`. None for a kind of chart that is not known here.
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

/// The names of the columns of the data set that a chart asks for, those inside of SQL expressions left out.
pub fn columns(params: &Value) -> Vec<String> {
    let mut names = Vec::new();
    for key in ["x_axis", "groupby", "columns", "all_columns"] {
        names.extend(list(&params[key]).iter().filter_map(|column| column.as_str()).map(str::to_string));
    }
    for key in ["metric", "metrics"] {
        names.extend(list(&params[key]).iter().filter_map(|metric| metric["column"]["column_name"].as_str()).map(str::to_string));
    }
    names.extend(list(&params["adhoc_filters"]).iter().filter_map(|filter| filter["subject"].as_str()).map(str::to_string));
    names.sort();
    names.dedup();
    names
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
            "big_number" => json!({"columns": self.x_axis(), "metrics": list(&self.params["metric"]), "orderby": []}),
            "pie" => {
                let metric = list(&self.params["metric"]);
                let sorted = self.params["sort_by_metric"] == true;
                let order = if sorted { metric.iter().map(|metric| json!([metric, false])).collect() } else { Vec::new() };
                json!({"columns": list(&self.params["groupby"]), "metrics": metric, "orderby": order})
            }
            "heatmap_v2" => self.heatmap(),
            "table" if self.params["query_mode"] == "raw" => {
                let order: Vec<Value> =
                    list(&self.params["order_by_cols"]).iter().filter_map(|text| serde_json::from_str(text.as_str()?).ok()).collect();
                json!({"columns": list(&self.params["all_columns"]), "orderby": order})
            }
            "table" => {
                let by = Some(&self.params["timeseries_limit_metric"]).filter(|metric| !metric.is_null()).or(metrics.first());
                let order: Vec<Value> = by.map(|metric| json!([metric, ascending])).into_iter().collect();
                let columns: Vec<Value> = list(&self.params["groupby"]).iter().map(|column| self.grained(column)).collect();
                json!({"columns": columns, "metrics": metrics, "orderby": order})
            }
            _ => {
                let series = list(&self.params["groupby"]);
                let columns: Vec<Value> = self.x_axis().into_iter().chain(series.iter().cloned()).collect();
                let order: Vec<Value> = metrics.first().map(|metric| json!([metric, ascending])).into_iter().collect();
                json!({"columns": columns, "metrics": metrics, "series_columns": series, "orderby": order})
            }
        };
        merge(&mut query, extra);
        query
    }

    /// What all kinds of chart have in common: filters, time range, limits.
    fn base(&self) -> Value {
        let mut filters = Vec::new();
        let (mut wheres, mut havings) = (Vec::new(), Vec::new());
        for filter in list(&self.params["adhoc_filters"]) {
            let having = filter["clause"] == "HAVING";
            if filter["expressionType"] == "SQL" {
                let expression = filter["sqlExpression"].as_str().unwrap_or_default();
                if having { &mut havings } else { &mut wheres }.push(format!("({expression})"));
            } else if !having && filter["comparator"] != "No filter" {
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

    /// The axis of a chart, cut into grains when it is one of time.
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

    /// A column of a table, cut into grains when it is one of time.
    fn grained(&self, column: &Value) -> Value {
        let temporal = column.as_str().is_some_and(|name| self.params["temporal_columns_lookup"][name] == true);
        if temporal && self.params["time_grain_sqla"].is_string() { self.base_axis(column) } else { column.clone() }
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
        let orders: Vec<Value> = [order("sort_x_axis", self.x_axis().first()), order("sort_y_axis", rows.first())].into_iter().flatten().collect();
        json!({"columns": columns, "metrics": metric, "orderby": orders})
    }
}

/// One thing or a list of them, as `params` has it.
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
