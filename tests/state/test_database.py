"""The state database: migrations, modes of its files, many processes, and how it speaks when it cannot be used."""

import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from setuptools import find_packages
from sqlalchemy.orm import Session

from dynatrail.errors import StateError
from dynatrail.settings import PROJECT
from dynatrail.state import database
from dynatrail.state.models import Base, EvidenceSnapshot, TableKey

AT = datetime(2026, 11, 1, 3, 0, 0, 123456, tzinfo=UTC)


def key(name="pk", at=AT):
    return TableKey(
        table_arn="arn:aws:dynamodb:eu-central-1:123456789012:table/Patients",
        attribute_name=name,
        attribute_type="S",
        key_type="HASH",
        learned_at=at,
    )


def processes(script, url, count):
    started = [
        subprocess.Popen([sys.executable, "-c", script, url, str(n)], stderr=subprocess.PIPE, text=True)
        for n in range(count)
    ]
    for process in started:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors


def test_migrations_make_exactly_the_models(url):
    database.upgrade(url)
    with database.engine(url).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_a_migrated_database_is_left_as_it_is(url):
    with database.session(url) as session:
        session.add(key())
    database.upgrade(url)
    with database.session(url) as session:
        assert session.scalars(sa.select(TableKey.attribute_name)).all() == ["pk"]


def test_migrations_can_be_undone(url):
    database.upgrade(url)
    config = Config()
    config.set_main_option("script_location", str(database.MIGRATIONS))
    with database.engine(url).begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    with database.engine(url).connect() as connection:
        assert sa.inspect(connection).get_table_names() == ["alembic_version"]


@pytest.mark.slow
def test_many_processes_may_migrate_and_write_at_once(url):
    script = """
import sys
from datetime import UTC, datetime
from dynatrail.state.database import session
from dynatrail.state.models import TableKey
for turn in range(20):
    with session(sys.argv[1]) as opened:
        opened.add(TableKey(table_arn=f"arn:{sys.argv[2]}", attribute_name=str(turn), attribute_type="S",
                            key_type="HASH", learned_at=datetime(2026, 11, 1, tzinfo=UTC)))
"""
    processes(script, url, 6)
    with database.session(url) as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(TableKey)) == 120


@pytest.mark.slow
def test_a_read_followed_by_a_write_waits_for_other_writers(tmp_path):
    # With SQLite's own lazy transactions this dies of `database is locked` or loses counts.
    url = f"sqlite:///{tmp_path / 'state.db'}"
    with database.session(url) as session:
        session.add(key("0"))
    script = """
import sys
import sqlalchemy as sa
from dynatrail.state.database import session
from dynatrail.state.models import TableKey
for _ in range(50):
    with session(sys.argv[1]) as opened:
        row = opened.scalars(sa.select(TableKey)).one()
        opened.execute(sa.update(TableKey).values(attribute_name=str(int(row.attribute_name) + 1)))
"""
    processes(script, url, 4)
    with database.session(url) as session:
        assert session.scalars(sa.select(TableKey.attribute_name)).one() == "200"


def test_a_session_that_raises_leaves_nothing(url):
    def add_and_fail():
        with database.session(url) as session:
            session.add(key())
            session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        add_and_fail()
    with database.session(url) as session:
        assert session.scalars(sa.select(TableKey)).all() == []


def test_instants_come_back_as_aware_utc(url):
    elsewhere = AT.astimezone(timezone(timedelta(hours=5, minutes=30)))
    with database.session(url) as session:
        session.add(key(at=elsewhere))
    with database.session(url) as session:
        found = session.scalars(sa.select(TableKey)).one().learned_at
    assert (found, found.tzinfo) == (AT, UTC)


def test_an_instant_without_a_zone_is_refused(url):
    with pytest.raises(sa.exc.StatementError, match="needs a time zone"), database.session(url) as session:
        session.add(key(at=AT.replace(tzinfo=None)))


def test_json_comes_back_as_it_was(url):
    versions = {"api_event": 12, "audit_record": 0}
    with database.session(url) as session:
        session.add(
            EvidenceSnapshot(
                snapshot_id="a", day=AT.date(), made_at=AT, versions=versions, manifest_sha256="0" * 64, folder="x"
            )
        )
    with database.session(url) as session:
        assert session.scalars(sa.select(EvidenceSnapshot)).one().versions == versions


def test_sqlite_files_are_their_owners_alone(tmp_path):
    file = tmp_path / "home" / "state.db"
    with database.session(f"sqlite:///{file}") as session:
        session.add(key())
        session.flush()
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in file.parent.iterdir()}
    assert modes == {"state.db": 0o600, "state.db-wal": 0o600, "state.db-shm": 0o600}


def test_a_database_of_a_newer_release_is_refused_untouched(url):
    database.upgrade(url)
    with database.engine(url).begin() as connection:
        connection.execute(sa.text("update alembic_version set version_num = '9999'"))
    with pytest.raises(StateError, match="at revision 9999, which this release does not know"):
        database.upgrade(url)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "no SQLAlchemy URL"),
        ("mysql://user:hunter2@localhost/x", "SQLite or PostgreSQL, not mysql"),
        ("sqlite://", "must outlive the process"),
        ("postgresql+psycopg2://user:hunter2@127.0.0.1:1/x", r"user:\*\*\*@127\.0\.0\.1:1/x cannot be used: .*refused"),
    ],
)
def test_a_database_that_cannot_be_used_is_named_without_its_password(url, message):
    with pytest.raises(StateError, match=message) as raised:
        database.upgrade(url)
    assert "hunter2" not in str(raised.value)


def test_a_file_that_is_no_database_is_named(tmp_path):
    (tmp_path / "state.db").write_text("this is no database, it is a text of some length" * 40)
    with pytest.raises(StateError, match=r"state\.db cannot be used: file is not a database"):
        database.upgrade(f"sqlite:///{tmp_path / 'state.db'}")


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match=r"file/state\.db cannot be opened"):
        database.engine(f"sqlite:///{tmp_path / 'file' / 'state.db'}")


def test_no_value_of_a_row_gets_into_an_error(url):
    def twice():
        with database.session(url) as session:
            session.add_all([key("secret-name"), key("secret-name")])

    with pytest.raises(sa.exc.IntegrityError) as raised:
        twice()
    assert "secret-name" not in str(raised.value).replace(str(raised.value.orig), "")


def test_a_forked_child_opens_its_own_connection(tmp_path):
    script = """
import os, sys
import sqlalchemy as sa
from dynatrail.state import database
url = sys.argv[1]
with database.session(url) as session:
    parent = session.connection().connection.dbapi_connection
if os.fork() == 0:
    with database.session(url) as session:
        os._exit(session.connection().connection.dbapi_connection is parent)
sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
"""
    processes(script, f"sqlite:///{tmp_path / 'state.db'}", 1)


def test_migrations_are_part_of_the_package():
    packages = find_packages(str(PROJECT / "include"), include=["dynatrail*"])
    assert {"dynatrail.state.migrations", "dynatrail.state.migrations.versions"} <= set(packages)
    assert Path(database.__file__).parent / "migrations" == database.MIGRATIONS


def test_the_settings_name_the_database(tmp_path, monkeypatch):
    monkeypatch.setenv("DYNATRAIL_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DYNATRAIL_STATE_URL", raising=False)
    with database.session() as session:
        assert isinstance(session, Session)
    assert (tmp_path / "home" / "state.db").exists()
