"""Keeps the passwords that Superset stores readable when secret-key has changed.

Superset encrypts the passwords of its database connections with secret-key. After a change of the key, a single such password
makes every list of databases an error page. Passwords that previous-secret-key can decrypt are encrypted with the new key.
Passwords that no key can decrypt are cleared and named, so that they can be entered again.
"""

from pathlib import Path

from sqlalchemy import LargeBinary, literal, select, type_coerce
from sqlalchemy_utils import EncryptedType

PREVIOUS = Path("/etc/lastack/superset/previous-secret-key")


def make_readable(app):
    from flask_appbuilder import Model
    from superset import db

    previous = PREVIOUS.read_text(encoding="utf-8").strip("\r\n") if PREVIOUS.exists() else None
    with app.app_context(), db.engine.begin() as connection:
        for table in Model.metadata.tables.values():
            columns = [column for column in table.columns if isinstance(column.type, EncryptedType)]
            for column in columns:
                # as bytes: the type of the column would decrypt the value and fail
                raw = select(table.c.id, type_coerce(column, LargeBinary)).where(column.isnot(None))
                for row_id, value in connection.execute(raw).fetchall():
                    again(connection, table, column, row_id, bytes(value), previous)


def again(connection, table, column, row_id, value, previous):
    if decrypted(column.type, value, connection.dialect) is not None:
        return
    old = EncryptedType(column.type.underlying_type, previous) if previous else None
    plain = decrypted(old, value, connection.dialect) if old else None
    where = f"{table.name}.{column.name} of row {row_id}"
    if plain is not None:
        new = literal(column.type.process_bind_param(plain, connection.dialect), LargeBinary)
        print(f"secret-key has changed: {where} encrypted anew")
    elif column.nullable:
        new = None
        print(f"warning: secret-key has changed: {where} cannot be read and is emptied; enter it again")
    else:
        raise RuntimeError(f"secret-key has changed: {where} cannot be read; give the old key as previous-secret-key in the Secret")
    # keep the time of change, which SQLAlchemy would update, because no user changed the object
    times = {"changed_on": table.c.changed_on} if "changed_on" in table.c else {}
    connection.execute(table.update().where(table.c.id == row_id).values({column.name: new, **times}))


def decrypted(kind, value, dialect):
    try:
        return kind.process_result_value(value, dialect)
    except ValueError:
        return None
