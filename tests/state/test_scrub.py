"""Destroyed keys of subjects, in the files of both kinds of database."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from dynatrail.privacy import subjects
from dynatrail.privacy.subjects import SubjectKeys
from dynatrail.state import database
from dynatrail.state.database import session
from dynatrail.state.models import SubjectKey

AT = datetime(2026, 11, 3, tzinfo=UTC)
ANNA, BORIS = "t1:" + "a" * 32, "t1:" + "b" * 32


def wrapped(url, subject):
    with session(url) as opened:
        return opened.get_one(SubjectKey, subject).wrapped_key.encode()


def files_of(url):
    """All files of the database but the log of PostgreSQL, which only its own rotation overwrites."""
    if url.startswith("sqlite"):
        folder = Path(sa.make_url(url).database).parent
    else:
        with database.engine(url).connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text("checkpoint"))
            folder = Path(connection.execute(sa.text("show data_directory")).scalar_one())
    found = (path for path in folder.rglob("*") if path.is_file() and "pg_wal" not in path.parts)
    return b"".join(path.read_bytes() for path in found)


def erase(url, subject, by="dana"):
    return subjects.erase(subject, reason="r", erased_by=by, approved_by="dpo", at=AT, url=url)


def test_destroyed_key_is_in_no_file_of_the_database(url):
    keys = SubjectKeys(bytes(range(32)), url)
    for number in range(200):  # more than a page, so that rows lie in several
        keys.encrypt(f"t1:{number:032}", ("a",), "S", "x")
    keys.encrypt(ANNA, ("a",), "S", "x")
    keys.encrypt(BORIS, ("a",), "S", "x")
    gone, kept = wrapped(url, ANNA), wrapped(url, BORIS)
    assert gone in files_of(url)
    erase(url, ANNA)
    database.scrub("subject_key", url)
    after = files_of(url)
    assert gone not in after
    assert kept in after


def test_first_of_many_erasures_at_once_counts(url):
    with session(url):  # so that none of them has to make the tables
        pass
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda number: erase(url, ANNA, f"user {number}"), range(8)))
    assert len(set(found)) == 1
    assert subjects.erased(url=url) == [found[0]]
