"""The policies that a principal or a resource had, or may have had, at an instant."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache

import msgspec

from dynatrail import clock
from dynatrail.trail.permissions import facts, policies
from dynatrail.trail.permissions.facts import Entity
from dynatrail.trail.permissions.history import IN_FORCE, Fact, Held, History, Slot, Token, unsurer
from dynatrail.trail.permissions.policies import Policy, Unreadable

INLINE = "inline"
MANAGED = "managed"
AWS_MANAGED = "aws_managed"
GROUP_INLINE = "group_inline"
GROUP_MANAGED = "group_managed"
BOUNDARY = "permissions_boundary"
RESOURCE = "resource_policy"

_OF_AWS = ":iam::aws:policy/"


@dataclass(frozen=True, slots=True)
class Source:
    """One policy of a principal or resource.

    Attributes:
        kind: inline, managed, aws_managed, group_inline, group_managed, permissions_boundary or resource_policy.
        name: its name; of a resource policy, the resource's ARN.
        arn: of a managed policy.
        holder: name of the user, role or group that has it; of a resource policy, the resource's ARN.
        standing: in_force, may_have_differed or seen_later.
        seen_at: when a look saw it, or when an event made it so.
        event_id: that event.
        why: why it is not surely what was in force.
    """

    kind: str
    name: str
    arn: str | None
    holder: str
    policy: Policy | Unreadable
    standing: str
    seen_at: datetime
    event_id: str | None
    why: str | None

    def label(self) -> str:
        """How a person knows it."""
        if self.kind == RESOURCE:
            return f"the policy of {self.name}"
        if self.kind == BOUNDARY:
            return f"permissions boundary {self.name}"
        if self.kind == INLINE:
            return f"inline policy {self.name} of {self.holder}"
        of_group = f" of group {self.holder}" if self.kind in (GROUP_INLINE, GROUP_MANAGED) else ""
        return f"policy {self.name}{of_group}"


@dataclass(frozen=True, slots=True)
class Sources:
    """The policies of one principal or resource at an instant.

    Attributes:
        known: whether anything is known of it at all.
        limits: what of it is not known.
        tags: of an IAM user, by key in lower case; None: not known.
        bounded: whether it has, or may have had, a permissions boundary; None as document: not held.
    """

    policies: tuple[Source, ...] = ()
    known: bool = False
    limits: tuple[str, ...] = ()
    tags: Mapping[str, str] | None = None
    bounded: bool = False


@dataclass(slots=True)
class Book:
    """All histories, asked by entity."""

    histories: Mapping[Entity, History]

    def instants(self, entity: Entity) -> list[datetime]:
        """When the answer for an entity may become another one, in order."""
        return sorted({instant for one in self._reach(entity) for instant in self._instants(one)})

    def _instants(self, entity: Entity) -> Iterable[datetime]:
        history = self.histories.get(entity)
        return history.instants() if history else ()

    def _reach(self, entity: Entity) -> Iterator[Entity]:
        """The entity and all that its policies were ever taken from."""
        yield entity
        history = self.histories.get(entity)
        if history is None:
            return
        account = entity[1]
        for _, name in history.slots("group"):
            yield from self._reach(("group", account, name))
        yield from (("policy", account, arn) for _, arn in history.slots("attached"))
        for fact in history.facts:
            if isinstance(arn := fact.slots.get(facts.BOUNDARY), str):
                yield ("policy", account, arn)

    def of_principal(self, entity: Entity, instant: datetime, unique_id: str | None = None) -> Sources:
        """What a user or role had: its own policies, its groups', and its boundary.

        Args:
            entity: ("user" or "role", account, name).
            instant: when.
            unique_id: AIDA… or AROA… of the caller; a principal of that name with another id is another one.
        """
        history = self.histories.get(entity)
        if history is None or not history.facts:
            return Sources()
        limits: list[str] = []
        found = [*self._own(entity, history, instant, limits)]
        for slot in history.slots("group"):
            for held in _told(history, slot, instant, f"whether {entity[2]} was in group {slot[1]}", limits):
                group = self.histories.get(("group", entity[1], slot[1]))
                if group is None:
                    limits.append(f"The policies of group {slot[1]} are not in any snapshot.")
                    continue
                of_group = self._own(("group", entity[1], slot[1]), group, instant, limits)
                found += (_weakened(one, held) for one in of_group)
        bounded = False
        for held in _told(history, facts.BOUNDARY, instant, f"which permissions boundary {entity[2]} had", limits):
            bounded = True
            found += self._managed(entity, held, str(held.value), BOUNDARY, instant, limits)
        if not history.is_confirmed(instant):
            limits.append(f"No later look tells whether {entity[2]} still had these policies.")
        if (other := _another(history, instant, unique_id)) is not None:
            limits.append(other)
            found = [replace(one, standing=unsurer(one.standing, "may_have_differed"), why=other) for one in found]
        return Sources(tuple(found), True, tuple(dict.fromkeys(limits)), _tags(entity, history, instant), bounded)

    def of_resource(self, arn: str, instant: datetime) -> Sources:
        """The policy of a table or stream."""
        history = self.histories.get(("resource", "", arn))
        if history is None or not history.facts:
            return Sources(limits=(f"No snapshot holds the policy of {arn}.",))
        limits: list[str] = []
        held = _told(history, facts.POLICY, instant, f"which policy {arn} had", limits)
        found = [_source((RESOURCE, arn, None, arn), one, instant) for one in held]
        return Sources(tuple(found), True, tuple(dict.fromkeys(limits)))

    def _own(self, entity: Entity, history: History, instant: datetime, limits: list[str]) -> list[Source]:
        kind, account, name = entity
        found = []
        for slot in history.slots(facts.INLINE):
            for held in _told(history, slot, instant, f"what policy {slot[1]} of {name} said", limits):
                as_kind = GROUP_INLINE if kind == "group" else INLINE
                found.append(_source((as_kind, slot[1], None, name), held, instant))
        for slot in history.slots(facts.ATTACHED):
            for held in _told(history, slot, instant, f"whether {slot[1]} was attached to {name}", limits):
                as_kind = GROUP_MANAGED if kind == "group" else AWS_MANAGED if _OF_AWS in slot[1] else MANAGED
                found += self._managed((kind, account, name), held, slot[1], as_kind, instant, limits)
        return found

    def _managed(
        self, holder: Entity, attached: Held, arn: str, kind: str, instant: datetime, limits: list[str]
    ) -> list[Source]:
        history = self.histories.get(("policy", holder[1], arn))
        if history is None or not history.facts:
            limits.append(f"The document of {arn} is not in any snapshot.")
            return []
        found = []
        for held in _told(history, facts.DOCUMENT, instant, f"what {arn} said", limits):
            one = _source((kind, facts.named(arn), arn, holder[2]), held, instant)
            found.append(_weakened(one, attached))
        return found


def _told(history: History, slot: Slot, instant: datetime, what: str, limits: list[str]) -> list[Held]:
    """The values that are there; those that nobody knows become limits."""
    found = []
    for held in history.at(slot, instant):
        if held.value is Token.UNKNOWN:
            limits.append(f"It is not known {what}{_relative(held.source, instant)}.")
        elif held.value is not None:
            found.append(held)
    return found


def _relative(source: Fact, instant: datetime) -> str:
    """Where an event or a look stands to a call whose policy it hides."""
    if source.event_id is None:
        return f" since {clock.iso(source.at)}, when it could not be read"
    if source.at > instant:
        return f" before event {source.event_id} ({source.event_name} at {clock.iso(source.at)})"
    return f" since event {source.event_id} ({source.event_name} at {clock.iso(source.at)})"


def _source(names: tuple[str, str, str | None, str], held: Held, instant: datetime) -> Source:
    """A policy by its kind, name, ARN and holder."""
    source = held.source
    return Source(*names, parsed(held.value), held.standing, source.at, source.event_id, _why(held, instant))


def _why(held: Held, instant: datetime) -> str | None:
    if held.standing == IN_FORCE:
        return None
    if held.because is None:
        return f"it was first seen at {clock.iso(held.source.at)}, after the call"
    because = held.because
    if because.event_id is None:
        return f"at {clock.iso(because.at)} it was seen to be another one; when it changed is not known"
    when = "before" if because.at <= instant else "after"
    return f"{because.event_name} at {clock.iso(because.at)}, {when} the call, changed it: event {because.event_id}"


def _weakened(one: Source, by: Held) -> Source:
    """A policy is no surer than its attachment, or than the membership that gives it."""
    standing = unsurer(one.standing, by.standing)
    if standing == one.standing:
        return one
    because = f": event {by.because.event_id}" if by.because and by.because.event_id else ""
    return replace(one, standing=standing, why=one.why or f"whether it was attached then is not sure{because}")


def _another(history: History, instant: datetime, unique_id: str | None) -> str | None:
    """Whether the principal of that name that is known is another one: names are used again, ids never."""
    if not unique_id:
        return None
    ids = {held.value for held in history.at(facts.ID, instant) if isinstance(held.value, str)}
    if not ids or unique_id in ids:
        return None
    return "The principal of that name in the snapshots has another unique id: it was made anew."


def _tags(entity: Entity, history: History, instant: datetime) -> Mapping[str, str] | None:
    held = history.at(facts.TAGS, instant)
    if entity[0] != "user" or len(held) != 1 or held[0].standing != IN_FORCE or not isinstance(held[0].value, tuple):
        return None
    return dict(held[0].value)


@lru_cache(maxsize=8192)
def parsed(document: str) -> Policy | Unreadable:
    """A canonical document, taken apart."""
    return policies.read(msgspec.json.decode(document))
