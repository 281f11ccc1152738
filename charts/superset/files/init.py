"""Migrates the metadata database, keeps its secrets readable, creates Superset's roles, the role Teacher and the accounts, and
deletes log entries that are older than the retention period.

Every step can be repeated, and PostgreSQL rolls back a killed migration. The last line of a failed run is the reason.
"""

import contextlib
import sys
import time
import traceback

import psycopg2

import schema

TIMEOUT = 300
# Any number, the same in every run: the holder of the lock migrates
LOCK = 6_105_119
# Errors of PostgreSQL that waiting does not resolve
FINAL = (
    "password authentication failed", "does not exist", "no pg_hba.conf entry", "permission denied", "SSL was required",
    "certificate verify failed", "root certificate file", "does not match host name",
)


def connect():
    deadline, said = time.monotonic() + TIMEOUT, None
    while True:
        try:
            # The lock of a vanished node must not live for two hours, the default of TCP
            return schema.connect(options="-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3")
        except psycopg2.OperationalError as error:
            state = str(error).strip().splitlines()[-1].strip()
        if any(words in state for words in FINAL):
            raise RuntimeError(f"PostgreSQL rejects the connection: {state}")
        if state != said:
            print(f"Waiting for PostgreSQL: {state}", flush=True)
            said = state
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {TIMEOUT} s for PostgreSQL: {state}")
        time.sleep(2)


@contextlib.contextmanager
def alone():
    connection = connect()
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", (LOCK,))
        if not cursor.fetchone()[0]:
            print("Waiting for another run of this Job to end", flush=True)
            cursor.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
        # PostgreSQL releases the lock when the connection ends for any reason
        yield
    connection.close()


def command(app, *arguments):
    from flask.cli import ScriptInfo
    from superset.cli.main import superset

    print(f"--- superset {' '.join(arguments)}", flush=True)
    try:
        superset.main(args=list(arguments), obj=ScriptInfo(create_app=lambda: app), standalone_mode=False)
    except SystemExit as end:
        if end.code:
            # the exception that the command caught before it exited
            raise RuntimeError(f"superset {' '.join(arguments)} failed: {end.__context__ or f'exit code {end.code}'}") from end


def main():
    with alone():
        # Created only now, because the application creates missing tables itself
        from superset.app import create_app

        app = create_app()
        command(app, "db", "upgrade")
        import stored_secrets

        stored_secrets.make_readable(app)
        command(app, "init")
        import accounts

        with app.app_context():
            accounts.make()
            from superset.commands.logs.prune import LogPruneCommand

            # beat does this each day, if it runs
            LogPruneCommand(app.config["LOG_DAYS"]).run()
    print("Superset's database, roles and accounts are ready")


def reason(error):
    """One line. The text of SQLAlchemy also contains the SQL statement and its parameters, such as the hash of a password."""
    cause = getattr(error, "orig", None) or error
    lines = str(cause).strip().splitlines() or [""]
    return f"{type(cause).__name__}: {lines[0]}" if not isinstance(error, (RuntimeError, TimeoutError)) else lines[0]


try:
    main()
except Exception as error:
    traceback.print_tb(error.__traceback__)
    sys.stdout.flush()
    sys.exit(f"error: {reason(error)}")
