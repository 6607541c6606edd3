"""When roles and users last tried DynamoDB, as IAM knows it: attempts, denied ones included, of the last 400 days.

Each needs a job that IAM works off in the background: started, then asked for until it is done, several at a time.
"""

import time
from collections.abc import Callable, Iterable
from typing import Any

from dynatrail.sources.iam import aspects
from dynatrail.sources.snapshots import gather
from dynatrail.sources.snapshots.asking import Answer, Asker
from dynatrail.sources.snapshots.pieces import Capture
from dynatrail.sources.snapshots.questions import Resource

ASPECT = aspects.GET_LAST_ACCESSED.operation

_NAMESPACES = frozenset({"dynamodb", "dax"})
_PATIENCE_S = 120
_STEP_S = 1.0


def look(
    asker: Asker, identities: Iterable[tuple[str, str, str]], sleep: Callable[[float], None] = time.sleep
) -> Capture:
    """Ask about each identity (type, ARN, name)."""
    capture = Capture()
    for kind in (aspects.USER, aspects.ROLE):
        gather.mark_complete(capture, kind, [ASPECT])
    resources = [Resource(*identity) for identity in identities]
    for one in gather.side_by_side(lambda resource: _about(asker, resource, sleep), resources):
        capture.add(one)
    return capture


def _about(asker: Asker, resource: Resource, sleep: Callable[[float], None]) -> Capture:
    capture = Capture()
    answer = asker.ask(aspects.GENERATE_LAST_ACCESSED, {"Arn": resource.arn})
    if answer.kind == "found":
        answer = _done(asker, answer.value["JobId"], sleep)
    if answer.kind != "gone":
        gather.take(capture, answer, resource, ASPECT)
    return capture


def _done(asker: Asker, job_id: str, sleep: Callable[[float], None]) -> Answer:
    for _ in range(int(_PATIENCE_S / _STEP_S)):
        answer = asker.pages(aspects.GET_LAST_ACCESSED, {"JobId": job_id})
        if answer.kind != "found":
            return answer
        match answer.value[0].get("JobStatus"):
            case "COMPLETED":
                return Answer("found", _of_dynamodb(answer.value))
            case "FAILED":
                return Answer("missed", reason=f"{ASPECT}: the job failed")
        sleep(_STEP_S)
    return Answer("missed", reason=f"{ASPECT}: a job was not done after {_PATIENCE_S} s")


def _of_dynamodb(pages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    services = [service for page in pages for service in page.get("ServicesLastAccessed") or ()]
    return [service for service in services if service.get("ServiceNamespace") in _NAMESPACES]
