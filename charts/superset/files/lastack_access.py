"""Limits users who cannot change charts to the queries of stored charts. See CUSTOM_SECURITY_MANAGER in superset_config.py.

Superset checks the data set of a query, but not its columns: an account that may see one chart of a data set can send SQL
expressions that read every column of its table. With this check a query contains only what an author stored.
"""

import json
import sys

import lastack_lean
from superset.errors import ErrorLevel, SupersetError, SupersetErrorType
from superset.exceptions import SupersetSecurityException
from superset.sql.parse import sanitize_clause

# Results with data of the chart, or without data. The others return rows of the data set, or SQL. See ChartDataResultType in
# superset/common/chart_data.py, which cannot be imported while Superset reads its configuration.
RESULTS = {"full", "results", "post_processed", "columns", "timegrains"}
# Keys of a column or metric that are no part of its SQL, or that Superset looks up in a list
INERT = {"label", "optionName", "columnType", "expressionType", "timeGrain"}
# Keys of a stored chart or filter with conditions, which select no column, and with metrics
CONDITIONS = {"adhoc_filters"}
METRICS = ("metric", "metrics", "percent_metrics", "sortMetric")
# Superset's name of the time column of a data set
TIME = "__timestamp"


class SecurityManager(lastack_lean.SecurityManager):
    def raise_for_access(self, *args, query_context=None, **kwargs):
        super().raise_for_access(*args, query_context=query_context, **kwargs)
        if self.can_access("can_write", "Chart"):
            return
        if any(kwargs.get(name) for name in ("query", "sql", "table")):
            reject("SQL")
        if query_context:
            check(query_context)


def reject(what):
    message = f"{what}: rejected: this account may send the queries of stored charts only; an administrator can change a chart"
    raise SupersetSecurityException(
        SupersetError(message=message, error_type=SupersetErrorType.DATASOURCE_SECURITY_ACCESS_ERROR, level=ErrorLevel.WARNING)
    )


def check(context):
    source, form = context.datasource, context.form_data or {}
    chart, name = context.slice_, form.get("native_filter_id")
    if chart:
        if (chart.datasource_id, chart.datasource_type) != (source.id, source.type):
            reject(f"chart {chart.id} of another data set")
        stored = [chart.params_dict, loads(chart.query_context)]
    else:
        stored = [filter for filter in filters(form.get("dashboardId")) if name and filter.get("id") == name]
        if not any(target.get("datasetId") == source.id for filter in stored for target in filter.get("targets") or []):
            reject("a query without a chart or a filter of a dashboard")
    allowed = Allowed(source, chart, stored)
    for query in context.queries:
        allowed.check(query, context)


class Allowed:
    """The names, expressions and clauses that a query may contain."""

    def __init__(self, source, chart, stored):
        self.source, self.chart = source, chart
        self.selected = {TIME, *strings([{key: part[key] for key in part if key not in CONDITIONS} for part in stored])}
        self.filtered = {TIME, source.main_dttm_col, *strings(stored)}
        self.limits = [int(part["row_limit"]) for part in stored if part.get("row_limit")]
        self.aggregates = any(part.get(key) for part in stored for key in METRICS)
        self.layers = [layer for part in stored for layer in part.get("annotation_layers") or []]
        self.conditions = [filter for part in stored for filter in part.get("adhoc_filters") or []]
        self.extras = [query.get("extras") or {} for part in stored for query in part.get("queries") or []]

    def check(self, query, context):
        if {context.result_type, query.result_type or context.result_type} - RESULTS:
            reject(f"a result of type {query.result_type or context.result_type}")
        if query.datasource not in (None, self.source):
            reject("another data set")
        if any(layer not in self.layers for layer in query.annotation_layers):
            reject("an annotation")
        if self.aggregates and not query.metrics:
            reject("single rows of a chart that aggregates them")
        if self.limits and (query.row_offset or (query.row_limit or sys.maxsize) > max(self.limits)):
            reject(f"more than {max(self.limits)} rows")
        ordered = [order[0] for order in query.orderby or []]
        for element in (*query.columns, *query.series_columns, *(query.metrics or []), query.series_limit_metric, *ordered):
            if element is not None and not self.knows(element, self.selected):
                reject(f"column or metric {shown(element)}")
        if query.granularity and query.granularity not in self.filtered:
            reject(f"column {query.granularity}")
        for clause in ("where", "having"):
            text = query.extras.get(clause)
            if text and text not in self.clauses(clause):
                reject(f"the {clause.upper()} clause of a query")
        for filter in query.filter:
            if not (self.knows(filter["col"], self.filtered) or self.knows(filter["col"], self.beside())):
                reject(f"a filter by {shown(filter['col'])}")

    def knows(self, element, known):
        return bool(used(element)) and used(element) <= known

    def clauses(self, clause):
        """The clause that Superset's pages make of the stored conditions, and those of a stored query."""
        written = [f"({condition['sqlExpression']})" for condition in self.conditions
                   if condition.get("expressionType") == "SQL" and condition.get("clause", "").lower() == clause]
        texts = [" AND ".join(written), *(extras.get(clause) for extras in self.extras)]
        engine = self.source.database.db_engine_spec.engine
        return {form for text in texts if text for form in (text, sanitize_clause(text, engine))}

    def beside(self):
        """What the dashboards of the chart show and filter by: a click on a value in one chart filters the others."""
        dashboards = self.chart.dashboards if self.chart else []
        of_filters = [filter for dashboard in dashboards for filter in configured(dashboard)]
        of_charts = [chart.params_dict for dashboard in dashboards for chart in dashboard.slices]
        return set(strings([of_filters, of_charts]))


def used(element):
    """The strings from which Superset makes the SQL of a column or metric."""
    if isinstance(element, dict):
        return set(strings({key: value for key, value in element.items() if key not in INERT}))
    return {element if isinstance(element, str) else getattr(element, "column_name", "")}


def strings(value):
    """Every string in a stored value. Some of Superset's own values are lists in the form of JSON."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from strings(part)
    elif isinstance(value, str):
        yield value
        if value.startswith("["):
            yield from strings(loads(value))


def loads(text):
    try:
        return json.loads(text or "{}")
    except ValueError:
        return {}


def filters(dashboard_id):
    from superset import db
    from superset.models.dashboard import Dashboard

    dashboard = db.session.get(Dashboard, dashboard_id) if isinstance(dashboard_id, int) else None
    return configured(dashboard) if dashboard else []


def configured(dashboard):
    return loads(dashboard.json_metadata).get("native_filter_configuration") or []


def shown(element):
    return element.get("label") or "" if isinstance(element, dict) else str(element)
