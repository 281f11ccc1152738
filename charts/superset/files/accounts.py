"""Creates the accounts admin, lastack and teacher, and the role Teacher, if they do not exist.

The accounts admin and teacher keep roles and names that were changed in Superset. They keep their passwords until the password in
the Secret changes.
"""

from pathlib import Path

from sqlalchemy import text
from werkzeug.security import check_password_hash, generate_password_hash

PASSWORDS = Path("/etc/lastack/accounts")
ACCOUNTS = [
    # user name, first name, last name, role, key of the Secret
    ("admin", "Superset", "Administrator", "Admin", "admin-password"),
    # the account of kubectl-lastack, so that no change of a user's password locks it out
    ("lastack", "kubectl", "lastack", "Admin", "lastack-password"),
    ("teacher", "Superset", "Teacher", "Teacher", "teacher-password"),
]

# Permissions of a teacher, in Superset's own names (permission, view). Reading data is granted separately, by
# datasource_access on each data set. Omitted on purpose: can_write of anything permanent, can_export, can_csv,
# can_import_, can_drill, can_tag, and everything of SQL Lab and security.
TEACHER = {
    # Pages: the lists of the start page, dashboards, charts, and their menus
    "Home": ["menu_access"],
    "Dashboards": ["menu_access"],
    "Charts": ["menu_access"],
    "MenuApi": ["can_get"],
    "Log": ["can_recent_activity"],
    "Dashboard": ["can_read", "can_view_chart_as_table"],
    "Chart": ["can_read"],
    "Superset": ["can_dashboard", "can_dashboard_permalink", "can_slice", "can_explore", "can_log", "can_language_pack"],
    "DashboardPermalinkRestApi": ["can_read"],
    "ExplorePermalinkRestApi": ["can_read"],
    "Theme": ["can_read"],
    # Data of a chart and values of a filter
    "Api": ["can_query", "can_query_form_data", "can_time_range"],
    "Dataset": ["can_read"],
    "Datasource": ["can_get"],
    "Explore": ["can_read"],
    # The CSRF token, without which the browser sends no requests
    "SecurityRestApi": ["can_read"],
    # The state of filters and opened charts: cached for this browser only
    "DashboardFilterStateRestApi": ["can_read", "can_write"],
    "ExploreFormDataRestApi": ["can_read", "can_write"],
    # The user's own page and password
    "CurrentUserRestApi": ["can_read", "can_write"],
    "user": ["can_read"],
}


def make():
    from superset import db, security_manager

    teacher(security_manager)
    given = Given(db.session)
    for username, first, last, role, key in ACCOUNTS:
        password = read(key)
        user = security_manager.find_user(username=username)
        if user:
            print(f"Account {username} exists")
            # No user signs in as lastack, and the program needs it to repair anything in Superset
            follows = username == "lastack" or given.is_another(username, password)
            if follows and not (user.password and check_password_hash(user.password, password)):
                security_manager.reset_password(user.id, password)
                print(f"Account {username}: password reset to that of the Secret")
            given.remember(username, password)
            continue
        found = security_manager.find_role(role)
        if not found:
            raise RuntimeError(f"account {username} needs the role {role}, which does not exist in Superset")
        # .invalid: mail cannot be delivered there
        if not security_manager.add_user(username, first, last, f"{username}@lastack.invalid", found, password=password):
            raise RuntimeError(f"Superset could not create the account {username}; see the lines above")
        given.remember(username, password)
        print(f"Account {username} created with role {role}")
    db.session.commit()


class Given:
    """Hashes of the passwords of the Secret in the last run. A password that was changed in Superset since then stays."""

    def __init__(self, session):
        self.session = session
        session.execute(text("CREATE TABLE IF NOT EXISTS lastack_given (username text PRIMARY KEY, hash text NOT NULL)"))

    def hash(self, username):
        found = self.session.execute(text("SELECT hash FROM lastack_given WHERE username = :username"), {"username": username})
        return found.scalar()

    def is_another(self, username, password):
        known = self.hash(username)
        return known is not None and not check_password_hash(known, password)

    def remember(self, username, password):
        if self.hash(username) is None or self.is_another(username, password):
            statement = "INSERT INTO lastack_given VALUES (:username, :hash) ON CONFLICT (username) DO UPDATE SET hash = excluded.hash"
            self.session.execute(text(statement), {"username": username, "hash": generate_password_hash(password)})


def read(key):
    password = (PASSWORDS / key).read_text(encoding="utf-8").strip("\r\n")
    if not password:
        raise RuntimeError(f"key {key} of the Secret with the accounts is empty")
    return password


def teacher(security_manager):
    """Adds missing permissions and removes none, because administrators grant this role data and other permissions."""
    role = security_manager.add_role("Teacher")
    if not role:
        raise RuntimeError("Superset could not create the role Teacher; see the lines above")
    there = {(grant.permission.name, grant.view_menu.name) for grant in role.permissions}
    for view, permissions in TEACHER.items():
        for permission in permissions:
            grant = security_manager.find_permission_view_menu(permission, view)
            if not grant:
                raise RuntimeError(f"this Superset has no permission {permission} on {view}: the list of the role Teacher is for another version")
            if (permission, view) not in there:
                security_manager.add_permission_role(role, grant)
    print(f"Role Teacher has {len(role.permissions)} permissions")
