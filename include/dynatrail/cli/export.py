"""`export`: the trail in formats that others read."""

import sys
from pathlib import Path

from dynatrail import window
from dynatrail.errors import SettingsError
from dynatrail.settings import settings
from dynatrail.trail import ocsf as ocsf_events
from dynatrail.warehouse.store import Warehouse


def ocsf(first: str, last: str, out: Path | None) -> None:
    """Write OCSF JSON lines to a file (whole or not at all) or to standard output."""
    start, end = window.parse(first, last)
    warehouse = Warehouse.from_settings(settings())
    if out is None:
        count = ocsf_events.export(warehouse, start, end, sys.stdout.buffer)
    else:
        draft = out.with_name(out.name + ".part")
        try:
            with draft.open("wb") as file:
                count = ocsf_events.export(warehouse, start, end, file)
            draft.replace(out)
        except OSError as error:
            raise SettingsError(
                f"Cannot write {out}: {error.strerror}. Give --out a file in a folder of yours."
            ) from error
        finally:
            draft.unlink(missing_ok=True)
    print(f"{count:,} OCSF events{f' in {out}' if out else ''}", file=sys.stderr)
