"""Put questions about resources, several at a time, and collect what comes back."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from dynatrail.sources.snapshots.asking import Answer, Asker
from dynatrail.sources.snapshots.pieces import PRESENT, Capture, Key
from dynatrail.sources.snapshots.questions import Aspect, Listing, Resource
from dynatrail.sources.snapshots.versions import Known

WORKERS = 16
"""Enough to keep the slowest APIs at their rates while an answer takes up to a second; an answer is some kilobytes."""

_One = TypeVar("_One")
_Got = TypeVar("_Got")


def about(asker: Asker, resource: Resource, aspects: Iterable[Aspect]) -> Capture | None:
    """Ask everything about one resource; None when it vanished meanwhile: half of it would be no picture of it."""
    capture = Capture()
    for aspect in aspects:
        if aspect.of != resource.type or (aspect.only_with and not resource.value(aspect.only_with)):
            continue
        parameters = {name: resource.value(source) for name, source in aspect.parameters.items()}
        answer = asker.ask(aspect.api, parameters, region=resource.region)
        if answer.kind == "gone":
            return None
        take(capture, answer, resource, aspect.name)
    return capture


def take(capture: Capture, answer: Answer, resource: Resource, aspect: str, conditions: Collection[str] = ()) -> None:
    """Note one answer: a document, `null` for what is not configured, or why there is none."""
    match answer.kind:
        case "found" | "absent":
            capture.present(resource.type, resource.arn, aspect, resource.name, answer.value, conditions)
        case "unreadable":
            capture.unreadable(resource.type, resource.arn, aspect, resource.name, answer.reason)
        case "missed":
            capture.missed[resource.arn, aspect] = answer.reason
        case "lacking":
            capture.lacking.add(answer.reason)


def listed(asker: Asker, listing: Listing, known: Mapping[Key, Known], everything: str) -> Capture:
    """Ask a listing: one piece for each member; `everything` stands for them all where the list may not be read."""
    capture = Capture()
    answer = asker.ask(listing.api, listing.constant)
    whole = Resource(listing.of, everything, None)
    if answer.kind != "found":
        take(capture, answer, whole, listing.api.operation)
        return capture
    mark_complete(capture, listing.of, (listing.name, *([listing.detail[0].operation] if listing.detail else ())))
    members = [one for one in answer.value if not listing.only or one.get(listing.only[0]) == listing.only[1]]
    for one in side_by_side(lambda member: _member(asker, listing, member, known), members):
        capture.add(one)
    return capture


def _member(asker: Asker, listing: Listing, document: Mapping[str, Any], known: Mapping[Key, Known]) -> Capture:
    capture = Capture()
    label = document.get(listing.label) if listing.label else None
    resource = Resource(listing.of, str(document.get(listing.arn, "")), label)
    capture.present(listing.of, resource.arn, listing.name, label, document)
    if listing.detail is None:
        return capture
    api, parameters = listing.detail
    key, (piece,) = (resource.arn, api.operation), capture.pieces
    was, detail = known.get(piece.key), known.get(key)
    if listing.tells and was and detail and (was.sha256, detail.status) == (piece.sha256, PRESENT):
        capture.unchanged.add(key)
        return capture
    answer = asker.ask(api, {name: document[source] for name, source in parameters.items()})
    take(capture, answer, resource, api.operation)
    return capture


def everything_of(service: str, asker: Asker) -> str:
    """What stands for all resources of a service in a place, where their list may not be read."""
    region = "" if service == "iam" else asker.target.region
    return f"arn:{asker.partition}:{service}:{region}:{asker.target.account_id}:*"


def mark_complete(capture: Capture, resource_type: str, aspects: Iterable[str]) -> None:
    capture.complete |= {(resource_type, aspect) for aspect in aspects}


def side_by_side(ask: Callable[[_One], _Got], things: Sequence[_One]) -> Iterable[_Got]:
    """Ask about many things, several at a time; answers in their order."""
    if len(things) <= 1:
        yield from map(ask, things)
        return
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="ask") as pool:
        yield from pool.map(ask, things)


def names(aspects: Iterable[Aspect], of: str) -> list[str]:
    """Names of the aspects of one resource type."""
    return [aspect.name for aspect in aspects if aspect.of == of]
