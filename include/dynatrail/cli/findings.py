"""What `doctor` finds."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from dynatrail.errors import DynatrailError


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; `advice` is empty when nothing is to be done."""

    what: str
    state: str
    advice: str = ""
    ok: bool = True


def guarded(what: str, look: Callable[[], Finding | Sequence[Finding]]) -> Iterator[Finding]:
    """What looking gives, or the error that it ended with."""
    try:
        found = look()
    except DynatrailError as error:
        yield Finding(what, "fails", str(error), ok=False)
    except OSError as error:
        yield Finding(what, "fails", f"{error.strerror}: {error.filename}. Is it a file or folder of yours?", ok=False)
    else:
        yield from (found,) if isinstance(found, Finding) else found
