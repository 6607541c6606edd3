"""Where secret keys come from: an Airflow Variable of any secrets backend, else a local file made at first use."""

import base64
import binascii
import os
import secrets
from pathlib import Path

from dynatrail.errors import SettingsError

BYTES = 32


def load(what: str, setting: str, variable: str, path: Path, *, make: bool = True) -> bytes:
    """A key of 32 random bytes.

    Args:
        what: what the key is, for messages.
        setting: the environment variable that names the Airflow Variable.
        variable: its value; empty: the file.
        path: the file.
        make: a file that is not there is made.

    Raises:
        SettingsError: the Variable is absent or not base64, or the file can be read by others, or is not there and
            shall not be made.
    """
    if not variable:
        if not make and not path.exists():
            raise SettingsError(
                f"The {what} is not here: there is no {path}, and {setting} names no Airflow Variable. Who may not "
                "have that key cannot do this; who may, runs it where the key is."
            )
        return _of_file(what, path)
    from airflow.sdk import Variable

    text = Variable.get(variable, default=None)
    if text is None:
        raise SettingsError(
            f"{setting} names the Airflow Variable {variable!r}, which no secrets backend has. "
            f"Create it with {BYTES} random bytes in base64, or unset {setting} to use a local key file."
        )
    return _decoded(what, text, f"Airflow Variable {variable!r}")


def _of_file(what: str, path: Path) -> bytes:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(base64.b64encode(secrets.token_bytes(BYTES)).decode() + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)  # first one wins, whole or not at all: two keys would break what is joined by them
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    if path.stat().st_mode & 0o077:
        raise SettingsError(f"The {what} {path} can be read by other users. Run `chmod 600 {path}`.")
    return _decoded(what, path.read_text(), str(path))


def _decoded(what: str, text: str, where: str) -> bytes:
    try:
        return base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise SettingsError(f"The {what} in {where} is not base64. Store {BYTES} random bytes in base64.") from None
