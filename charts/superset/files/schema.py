"""Waits until the metadata database has the schema of this image's Superset.

The Job migrates the schema. Pods that start before it wait here and report it.
"""

import ast
import importlib.util
import sys
import time
from pathlib import Path

import psycopg2
from sqlalchemy.engine import make_url

import superset_config

TIMEOUT = 900
INTERVAL = 2


def connect(**options):
    url = make_url(superset_config.SQLALCHEMY_DATABASE_URI)
    return psycopg2.connect(
        host=url.host, port=url.port, user=url.username, password=url.password, dbname=url.database, connect_timeout=10, **url.query, **options
    )


def revisions():
    """Every revision of this Superset, with its predecessors. The files are parsed, because importing them would start Superset."""
    package = Path(importlib.util.find_spec("superset").submodule_search_locations[0])
    known = {}
    for file in (package / "migrations/versions").glob("*.py"):
        names = {}
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
            if getattr(target, "id", None) in ("revision", "down_revision") and node.value is not None:
                names[target.id] = ast.literal_eval(node.value)
        if "revision" in names:
            before = names.get("down_revision") or ()
            known[names["revision"]] = (before,) if isinstance(before, str) else tuple(before)
    return known


def current():
    """The revision of the database, or the reason why it is not known yet."""
    try:
        connection = connect()
    except psycopg2.OperationalError as error:
        return None, str(error).strip().splitlines()[-1].strip()
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass('alembic_version') IS NOT NULL")
            if not cursor.fetchone()[0]:
                return set(), "the database has no tables of Superset yet"
            cursor.execute("SELECT version_num FROM alembic_version")
            found = {row[0] for row in cursor.fetchall()}
            return found, f"the database is at revision {', '.join(sorted(found)) or 'none'}"
    except psycopg2.Error as error:
        return None, str(error).strip().splitlines()[0]
    finally:
        connection.close()


def main():
    known = revisions()
    heads = set(known) - {before for all_before in known.values() for before in all_before}
    database = superset_config.DATABASE
    print(f"Waiting for database {database['name']} on {database['host']}:{database['port']} to be at revision {', '.join(sorted(heads))}", flush=True)
    deadline, said = time.monotonic() + TIMEOUT, None
    while True:
        found, state = current()
        if found == heads:
            print("The schema is ready")
            return
        if found and not found <= set(known):
            sys.exit(f"error: {state}, which this image does not know: a newer Superset has migrated it")
        if state != said:
            print(state, flush=True)
            said = state
        if time.monotonic() > deadline:
            sys.exit(f"error: waited {TIMEOUT} s for the schema: {state}; see the Job's log")
        time.sleep(INTERVAL)


if __name__ == "__main__":
    main()
