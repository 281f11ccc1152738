"""Removes work that Superset does for each chart by default. See EVENT_LOGGER and CUSTOM_SECURITY_MANAGER in superset_config.py."""

from flask import g, has_request_context, request
from flask_appbuilder.security.sqla.models import assoc_permissionview_role
from superset.security import SupersetSecurityManager
from superset.utils.log import DBEventLogger

# A query, although it is sent with POST
CHART_DATA = "/api/v1/chart/data"
# Events that the browser reports for every chart of a page, in addition to the page
DRAWING = ("load_chart", "render_chart")


def only_reads():
    return has_request_context() and (request.method in ("GET", "HEAD") or request.path == CHART_DATA)


class Visits(DBEventLogger):
    """Logs what users open, change and export.

    Superset's own logger also logs every chart in a view and each step of its query, in separate transactions. That is
    80 KiB for a dashboard of twelve charts, which fills a volume of 1 GiB after some ten thousand views.
    """

    def log_with_context(self, *args, **kwargs):
        if not (only_reads() and request.path.startswith("/api/") and "/export/" not in request.path):
            super().log_with_context(*args, **kwargs)

    def log(self, *args, records=(), **kwargs):
        kept = [record for record in records if record.get("event_name") not in DRAWING]
        # an event without records passes its data in another argument
        if kept or not records:
            super().log(*args, records=kept, **kwargs)


class SecurityManager(SupersetSecurityManager):
    """Reads all permissions of a role at once, and only once in a request that changes nothing.

    Flask-AppBuilder queries one permission at a time, twenty times for a chart.
    """

    def exist_permission_on_roles(self, view_name, permission_name, role_ids):
        if not only_reads():
            return super().exist_permission_on_roles(view_name, permission_name, role_ids)
        known = g.setdefault("lastack_permissions", {})
        roles = frozenset(role_ids)
        if roles not in known:
            known[roles] = self.permissions(roles)
        return (permission_name, view_name) in known[roles]

    def permissions(self, roles):
        found = (
            self.session.query(self.permission_model.name, self.viewmenu_model.name)
            .select_from(self.permissionview_model)
            .join(self.permission_model)
            .join(self.viewmenu_model)
            .join(assoc_permissionview_role)
            .filter(assoc_permissionview_role.c.role_id.in_(roles))
        )
        return {(permission, view) for permission, view in found}
