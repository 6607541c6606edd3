"""The credential report: one document for each user and the root account; what moves with use has its own aspect.

AWS makes a report anew at most every four hours ("Get credential reports"). Columns that it gains later are taken as
they come; the header is never compared with a list.
"""

import csv
import io
import time
from collections.abc import Callable, Iterable

from dynatrail.sources.iam import aspects
from dynatrail.sources.snapshots import gather, volatile
from dynatrail.sources.snapshots.asking import Answer, Asker
from dynatrail.sources.snapshots.pieces import Capture
from dynatrail.sources.snapshots.questions import Resource

ASPECT = aspects.GET_REPORT.operation
LAST_USED = f"{ASPECT}.last_used"

_PATIENCE_S = 120
_STEP_S = 2.0


def look(asker: Asker, sleep: Callable[[float], None] = time.sleep) -> Capture:
    """Ask for a report, wait until it is there, and take it apart."""
    capture = Capture()
    whole = Resource(aspects.USER, gather.everything_of("iam", asker), None)
    answer = _report(asker, sleep)
    if answer.kind != "found":
        gather.take(capture, answer, whole, ASPECT)
        return capture
    gather.mark_complete(capture, aspects.USER, (ASPECT, LAST_USED))
    capture.add(taken(answer.value["Content"]))
    return capture


def taken(content: bytes) -> Capture:
    """The documents of a report."""
    capture = Capture()
    uses = volatile.rules().fields(ASPECT)
    rows: Iterable[dict[str, str]] = csv.DictReader(io.StringIO(content.decode("utf-8")))
    for row in rows:
        known = {name: value for name, value in row.items() if name is not None}
        arn, name = known.get("arn", ""), known.get("user")
        capture.present(aspects.USER, arn, ASPECT, name, known)
        used = {field: value for field, value in known.items() if field in uses}
        capture.present(aspects.USER, arn, LAST_USED, name, used)
    return capture


def _report(asker: Asker, sleep: Callable[[float], None]) -> Answer:
    asked = asker.ask(aspects.GENERATE_REPORT)
    if asked.kind != "found":
        return asked
    for _ in range(int(_PATIENCE_S / _STEP_S)):
        answer = asker.ask(aspects.GET_REPORT)
        if answer.kind != "gone":  # there is none yet, or an old one that is being replaced
            return answer
        sleep(_STEP_S)
    return Answer("missed", reason=f"{ASPECT}: the report was not ready after {_PATIENCE_S} s")
