"""The hub's tables, the same on SQLite and PostgreSQL.

Does not know: what is asked of them.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, MetaData, String, Table, Text, create_engine, event
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from penjing.fleet.faults import BadDatabase, ExtraMissing

SCHEMA = MetaData()
HEX = String(64)
roots = Table("roots", SCHEMA, Column("version", Integer, primary_key=True), Column("document", LargeBinary))
known = Table("known", SCHEMA, Column("id", Integer, primary_key=True), Column("content", LargeBinary))
"""One row: what the hub itself remembers of roots and releases (`store.release_file.Known`)."""
releases = Table(
    "releases",
    SCHEMA,
    Column("name", String(200), primary_key=True),
    Column("counter", BigInteger),
    Column("sha256", HEX),
    Column("document", LargeBinary),
)
versions = Table(
    "versions",
    SCHEMA,
    Column("digest", HEX, primary_key=True),
    Column("name", String(200), index=True),
    Column("number", Integer),
    Column("bytes", BigInteger),
    Column("sha256", HEX),
    Column("content", LargeBinary),
)
"""`content` is the index (`store.index.Index`), `sha256` its own."""
chunks = Table("chunks", SCHEMA, Column("digest", HEX, primary_key=True), Column("bytes", Integer))
tokens = Table(
    "tokens",
    SCHEMA,
    Column("digest", HEX, primary_key=True),
    Column("wish", Text),
    Column("expires", String(40)),
    Column("device", String(40)),
)
"""`device` is empty until a token is used."""
devices = Table(
    "devices",
    SCHEMA,
    Column("id", String(40), primary_key=True),
    Column("name", String(200)),
    Column("key", HEX, unique=True),
    Column("channel", String(100)),
    Column("models", Text),
    Column("platform", String(200)),
    Column("joined", String(40)),
    Column("seen", String(40)),
    Column("state", Text),
)
publishers = Table("publishers", SCHEMA, Column("key", HEX, primary_key=True), Column("name", String(100)))


def opened(url: str) -> Engine:
    """The database at `url`, its tables made where they are not there. Raises BadDatabase, ExtraMissing."""
    try:
        parts = make_url(url)
        shown = parts.render_as_string(hide_password=True)
    except ArgumentError as error:
        raise BadDatabase(value=url.partition("@")[2] or url, detail="it is no database URL") from error
    if parts.drivername in ("postgresql", "postgres"):  # as everybody writes it; the driver that is installed with us
        parts = parts.set(drivername="postgresql+psycopg")
    try:
        engine = create_engine(parts, pool_pre_ping=True, pool_size=10, max_overflow=30)  # a connection a thread
        if parts.get_backend_name() == "sqlite":
            event.listen(engine, "connect", _patient)
            event.listen(engine, "begin", lambda here: here.exec_driver_sql("BEGIN IMMEDIATE"))
        SCHEMA.create_all(engine)
    except (NoSuchModuleError, ArgumentError) as error:
        raise BadDatabase(value=shown, detail=str(error)) from error
    except ImportError as error:
        raise ExtraMissing(detail=error.name) from error
    except SQLAlchemyError as error:
        raise BadDatabase(value=shown, detail=str(getattr(error, "orig", error)).strip().partition("\n")[0]) from error
    return engine


def _patient(connection: Any, record: object) -> None:
    """Transactions that wait for each other from their beginning on: one that first reads and then finds that it may
    not write would fail at once, whatever the timeout (SQLITE_BUSY_SNAPSHOT)."""
    connection.isolation_level = None  # no BEGIN of the driver's own
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA busy_timeout=30000")
