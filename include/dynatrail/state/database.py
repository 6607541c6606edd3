"""The state database: a SQLite file for one machine, PostgreSQL for a team.

`session()` is all that others need. It brings the database to this release's schema before its first use in a process.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.orm import Session

from dynatrail.errors import StateError
from dynatrail.settings import settings

MIGRATIONS = Path(__file__).parent / "migrations"

BUSY_MS = 60_000
"""How long a statement waits while another process writes to the SQLite file."""

_UPGRADE_LOCK = 0x64796E61
"""PostgreSQL advisory lock under which one process at a time migrates."""

_engines: dict[str, sa.Engine] = {}
_upgraded: set[str] = set()


def _forget() -> None:
    # Connections may not be shared with a forked child; it makes its own.
    for known in _engines.values():
        known.dispose(close=False)
    _engines.clear()


os.register_at_fork(after_in_child=_forget)


def engine(url: str | None = None) -> sa.Engine:
    """The engine for `url` (default: the settings' state database); one a process.

    Raises:
        StateError: the URL is no SQLite or PostgreSQL URL, or the SQLite file cannot be made.
    """
    address = url or settings().state_database
    if known := _engines.get(address):
        return known
    try:
        parsed = sa.make_url(address)
    except sa.exc.ArgumentError:
        raise StateError(
            "DYNATRAIL_STATE_URL is no SQLAlchemy URL. Use sqlite:////path/state.db or "
            "postgresql+psycopg2://user:password@host/database."
        ) from None
    match parsed.get_backend_name():
        case "sqlite":
            made = _sqlite(parsed)
        case "postgresql":
            made = sa.create_engine(
                parsed, pool_pre_ping=True, hide_parameters=True, executemany_mode="values_plus_batch"
            )
        case other:
            raise StateError(f"The state database may be SQLite or PostgreSQL, not {other}; set DYNATRAIL_STATE_URL.")
    return _engines.setdefault(address, made)


def _sqlite(url: sa.URL) -> sa.Engine:
    if not url.database or url.database == ":memory:":
        raise StateError("The state database must outlive the process: name a file in DYNATRAIL_STATE_URL.")
    file = Path(url.database)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # Made here so that it is its owner's alone; SQLite gives its -wal and -shm files the same mode.
        os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StateError(
            f"The state database {file} cannot be opened: {error.strerror}. Make its folder writable or set "
            "DYNATRAIL_STATE_URL."
        ) from error
    made = sa.create_engine(url, hide_parameters=True, connect_args={"timeout": BUSY_MS / 1000})

    @sa.event.listens_for(made, "connect")
    def configure(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # `begin` below decides when a transaction starts, not the driver
        connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
        # What is deleted is overwritten: an erased subject's key must not stay in a free page.
        connection.execute("PRAGMA secure_delete = ON")

    @sa.event.listens_for(made, "begin")
    def begin(connection: sa.Connection) -> None:
        # A transaction that reads first and writes later fails at once when another wrote between; this one waits.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return made


@contextmanager
def session(url: str | None = None) -> Iterator[Session]:
    """A session that commits when the block ends and rolls back when it raises. Objects stay usable afterwards.

    Raises:
        StateError: the database cannot be reached or used.
    """
    address = url or settings().state_database
    if address not in _upgraded:
        upgrade(address)
    with _speaking(address), Session(engine(address), expire_on_commit=False) as opened, opened.begin():
        yield opened


def scrub(table: str, url: str | None = None) -> None:
    """Take what was deleted from a table out of the database's files, as far as the database can.

    SQLite overwrites what it deletes; here its log, which has the pages of before, is written back and emptied.
    PostgreSQL writes the table anew and drops the old file; its own log and its backups keep what they had.

    Args:
        table: its name, from this code.
        url: of the state database; default: that of the settings.

    Raises:
        StateError: somebody reads from the log, or locks the table, for more than a minute. Do it again.
    """
    address = url or settings().state_database
    made = engine(address)
    with _speaking(address):
        if made.dialect.name == "postgresql":
            with made.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(sa.text(f"set lock_timeout = {BUSY_MS}"))
                connection.execute(sa.text(f"vacuum full {table}"))
                connection.execute(sa.text("reset lock_timeout"))
            return
        raw = made.raw_connection()  # SQLAlchemy's own would begin a transaction, in which there is no checkpoint
        try:
            cursor = raw.cursor()
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            (busy, *_) = cursor.fetchone() or (True,)
        finally:
            raw.close()
    if busy:
        raise StateError(
            f"The log of the state database {_shown(address)} could not be emptied: another process reads from it. "
            f"What was deleted from {table} may still be in it. Run this again once that process is done."
        )


def upgrade(url: str | None = None) -> None:
    """Bring the database to this release's schema; any number of processes may call it at once.

    Raises:
        StateError: it cannot be reached, or a newer release has migrated it.
    """
    address = url or settings().state_database
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    scripts = ScriptDirectory.from_config(config)
    head = scripts.get_current_head()
    # One transaction from the look at the revision to the last migration, and one process at a time in it: SQLite's by
    # BEGIN IMMEDIATE, PostgreSQL's by the lock. Whoever comes second finds the work done.
    with _speaking(address), engine(address).begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_UPGRADE_LOCK)))
        current = MigrationContext.configure(connection).get_current_revision()
        if current != head:
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, "head")
            except CommandError as error:
                raise StateError(
                    f"The state database {_shown(address)} is at revision {current}, which this release does not know: "
                    "a newer release has used it. Install that release, or set DYNATRAIL_STATE_URL to another database."
                ) from error
    _upgraded.add(address)


@contextmanager
def _speaking(address: str) -> Iterator[None]:
    try:
        yield
    except sa.exc.DatabaseError as error:
        # Of its kinds, these two are the server's or the file's; the others (a key twice, …) are the caller's.
        if type(error) not in {sa.exc.DatabaseError, sa.exc.OperationalError}:
            raise
        reason = str(error.orig).strip().splitlines()[0]
        raise StateError(
            f"The state database {_shown(address)} cannot be used: {reason}. Check DYNATRAIL_STATE_URL and that the "
            "server runs; `python -m dynatrail doctor` tests it."
        ) from error


def _shown(address: str) -> str:
    return sa.make_url(address).render_as_string(hide_password=True)
