"""Decides which statements allowed a call: who asked, for what, under which policies, as far as it is known.

"Policy evaluation logic": within one account an identity policy or the resource's own policy must allow, across
accounts both must; a permissions boundary must allow as well what identity policies allow, or a resource policy allows
to a role; a resource policy that names the caller's account lets that account's policies decide. Service control,
resource control, session and endpoint policies only take away, and are not known here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dynatrail.trail.permissions import context, sources
from dynatrail.trail.permissions import explaining as told
from dynatrail.trail.permissions.asking import ROLES, Ask, Row, State, part_of, statements_of
from dynatrail.trail.permissions.conditions import holds
from dynatrail.trail.permissions.explaining import Candidate, Explanation, candidate
from dynatrail.trail.permissions.history import IN_FORCE, MAY_HAVE_DIFFERED, STANDINGS, unsurer
from dynatrail.trail.permissions.patterns import Known, every
from dynatrail.trail.permissions.policies import Caller, Policy, speaks
from dynatrail.trail.permissions.requests import DYNAMODB, EVERYTHING, Need
from dynatrail.trail.permissions.sources import Source

NOT_KNOWN = (
    "Service control, resource control, session and VPC endpoint policies are not known here; they only take away."
)
_ALLOWED_ALL_THE_SAME = frozenset(
    ("ConditionalCheckFailedException", "TransactionCanceledException", "TransactionConflictException")
    + ("DuplicateItemException", "ItemCollectionSizeLimitExceededException", "IdempotentParameterMismatchException")
)
"""Errors of a call that IAM had allowed: DynamoDB looked at the item."""


def explain(asked: Ask, at: State, late: Row) -> Explanation:
    """The verdict on a call whose late columns are those of `late`."""
    row = {**asked.row, **late}
    if asked.row["was_denied"]:
        return _denied(asked, at, row)
    if row["event_source"] != DYNAMODB or row["event_type"] == "AwsServiceEvent":
        what = "AWS did it by itself." if row["event_type"] == "AwsServiceEvent" else "It is no call of DynamoDB."
        return _plain(told.NOT_ASSESSED, None, f"not assessed: {what}", limits=(what,))
    if asked.is_root:
        return _plain(
            told.ROOT, told.RECOMPUTED, "allowed as the account's root user (recomputed)", limits=_limits(asked, at)
        )
    return _allowed(asked, at, row)


@dataclass(slots=True)
class _Found:
    """The matching statements of one need, by what they are."""

    identity: list[Candidate]
    boundary: list[Candidate]
    resource: list[Candidate]
    denies: list[Candidate]


def _find(asked: Ask, at: State, row: Row, need: Need) -> _Found:
    found = _Found([], [], [], [])
    known = context.known(row, at.identity.tags if row["principal_type"] == "IAMUser" else None)
    for source in at.identity.policies:
        for one in _matching(source, None, need, known):
            kind = found.boundary if source.kind == sources.BOUNDARY else found.identity
            (kind if one.effect == "Allow" else found.denies).append(one)
    caller = _caller(asked, row)
    for source in at.of(need).policies:
        for one in _matching(source, caller, need, known):
            (found.resource if one.effect == "Allow" else found.denies).append(one)
    return found


def _matching(source: Source, caller: Caller | None, need: Need, known: Known) -> Iterable[Candidate]:
    for statement in statements_of(source):
        matched, how = speaks(statement, caller, need.action, need.resource, known)
        if matched is False:
            continue
        condition = holds(statement.lines, known, variables=statement.variables)
        if every((matched, condition)) is not False:
            yield candidate(source, statement, need, matched, condition, how)


def _caller(asked: Ask, row: Row) -> Caller:
    kind = row["principal_type"]
    if kind == "AWSService":
        return Caller(None, service=row["invoked_by"])
    role = row["session_issuer_arn"] if kind in ROLES else None
    return Caller(asked.account_id, row["principal_arn"] or row["holder_arn"], role, row["unique_id"])


def _allowed(asked: Ask, at: State, row: Row) -> Explanation:
    statements: list[Candidate] = []
    denies: list[Candidate] = []
    contradictions: list[str] = []
    limits = list(_limits(asked, at))
    ways: list[str | None] = []
    chosen: list[Candidate] = []
    bounds: list[Candidate] = []
    for need in asked.needs:
        found = _find(asked, at, row, need)
        way, counted = _way(asked, at, need, found)
        ways.append(way)
        chosen += counted[:1] if way != told.BOTH or not _is_foreign(asked, need) else counted
        bounds += _bounds(found, counted, foreign=_is_foreign(asked, need))
        statements += [*_ranked(found.identity), *_ranked(found.resource), *_ranked(found.boundary)]
        denies += found.denies
        contradictions += _contradictions(need, found, at, way)
        if _is_foreign(asked, need) and not at.identity.known:
            limits.append(f"Both accounts had to allow it; the policies of {asked.account_id} are in no snapshot.")
    contradictions += _of_denies(denies)
    verdict = _verdict(asked, at, ways)
    if row["error_code"] and row["error_code"] not in _ALLOWED_ALL_THE_SAME:
        limits.append(f"It failed with {row['error_code']}, perhaps before permissions were asked.")
    if verdict in (told.NOT_EXPLAINED, told.NO_SNAPSHOT) or not chosen:
        sentence = _unexplained(asked, verdict)
        if verdict == told.NOT_EXPLAINED:
            limits.append("A policy that was changed between two looks, or one that is not held, may have allowed it.")
        standing = conditions = None
    else:
        # AWS allowed it in spite of a sure Deny: something that is held of this instant was not like that.
        denied = next((one for one in _ranked(denies) if one.is_sure() and one.standing == IN_FORCE), None)
        needed = [one.standing for one in (*chosen, *bounds)]
        standing = unsurer(*needed, MAY_HAVE_DIFFERED) if denied else unsurer(*needed)
        conditions = told.HOLDS if all(one.is_sure() for one in (*chosen, *bounds)) else told.CANNOT_BE_TOLD
        sentence = told.allowed_by(tuple(chosen), standing, conditions, denied)
    return Explanation(
        verdict=verdict,
        label=told.RECOMPUTED,
        standing=standing,
        conditions=conditions,
        said=None,
        statements=tuple(statements),
        against=tuple(_ranked(denies)),
        contradictions=tuple(dict.fromkeys(contradictions)),
        unreadable=_unreadable(at),
        limits=tuple(dict.fromkeys(limits)),
        sentence=sentence,
    )


def _way(asked: Ask, at: State, need: Need, found: _Found) -> tuple[str | None, list[Candidate]]:
    """Through which policies a need was allowed, and the statements, best first; None: through none that are known."""
    bounded = at.identity.bounded and not found.boundary and _boundary_is_held(at)
    identity = [] if bounded else _ranked(found.identity)
    direct = [
        one
        for one in _ranked(found.resource)
        if one.grants_to != "account" and not (one.grants_to == "role" and bounded)
    ]
    if _is_foreign(asked, need):
        resource = _ranked(found.resource)
        if not resource:
            # The limits say that the other account's side is not held.
            return (told.IDENTITY, identity) if identity and not at.of(need).known else (None, [])
        if identity:
            return told.BOTH, [identity[0], resource[0]]
        return (None, []) if at.identity.known else (told.RESOURCE, resource)
    if identity and (direct or found.resource):
        return told.BOTH, [*_ranked([*identity, *(direct or found.resource)])]
    if identity:
        return told.IDENTITY, identity
    return (told.RESOURCE, direct) if direct else (None, [])


def _bounds(found: _Found, counted: Sequence[Candidate], *, foreign: bool) -> list[Candidate]:
    """The boundary's surest statement, where what allowed the need counts only within the boundary."""
    allowing = counted if foreign else counted[:1]
    if any(one.policy_type != sources.RESOURCE or one.grants_to == "role" for one in allowing):
        return _ranked(found.boundary)[:1]
    return []


def _boundary_is_held(at: State) -> bool:
    return any(one.kind == sources.BOUNDARY and isinstance(one.policy, Policy) for one in at.identity.policies)


def _is_foreign(asked: Ask, need: Need) -> bool:
    if need.resource is None or need.resource == EVERYTHING or asked.account_id is None:
        return False
    return part_of(need.resource, 4) != asked.account_id


def _verdict(asked: Ask, at: State, ways: Sequence[str | None]) -> str:
    if asked.is_service_linked:
        return told.SERVICE_LINKED
    if None not in ways and ways:
        kinds = set(ways)
        return kinds.pop() or "" if len(kinds) == 1 else told.BOTH
    return told.NOT_EXPLAINED if at.identity.known else told.NO_SNAPSHOT


def _unexplained(asked: Ask, verdict: str) -> str:
    if verdict == told.SERVICE_LINKED:
        return "allowed to a service-linked role, whose policy AWS has fixed (recomputed)"
    if verdict == told.NO_SNAPSHOT:
        who = asked.row["holder_arn"] or asked.row["invoked_by"] or f"a caller of account {asked.account_id}"
        return f"no snapshot holds the policies of {who}"
    return "nothing that is held explains why it was allowed (recomputed)"


def _contradictions(need: Need, found: _Found, at: State, way: str | None) -> Iterable[str]:
    if at.identity.bounded and not found.boundary and _boundary_is_held(at) and way != told.RESOURCE:
        yield f"The permissions boundary allows no {need.action}: it is not what was in force."


def _of_denies(denies: Iterable[Candidate]) -> Iterable[str]:
    for one in denies:
        if one.is_sure():
            yield f"A Deny matches, {one.name()}: it would have denied the call, so it was not in force like this."
        else:
            yield f"A Deny matches, {one.name()}: its condition, which cannot be told, did not hold."


def _denied(asked: Ask, at: State, row: Row) -> Explanation:
    message = told.said(row)
    statements: list[Candidate] = []
    against: list[Candidate] = []
    contradictions: list[str] = []
    ours = bool(asked.needs) and asked.needs[0].action.startswith("dynamodb:") and not asked.is_root
    for need in asked.needs if ours else ():
        found = _find(asked, at, row, need)
        statements += _ranked(found.denies)
        way, counted = _way(asked, at, need, found)
        sure = [one for one in counted if one.is_sure() and one.standing == STANDINGS[0]]
        if sure and not found.denies and way is not None:
            against += counted
            if message.kind == "implicit" and (message.policy_type or "").startswith("identity"):
                contradictions.append(f"By what is held it would have been allowed: {sure[0].name()}.")
    return Explanation(
        verdict=told.DENIED,
        label=told.SAID_BY_AWS,
        standing=None,
        conditions=None,
        said=message,
        statements=tuple(statements),
        against=tuple(against),
        contradictions=tuple(contradictions),
        unreadable=_unreadable(at) if ours else (),
        limits=_limits(asked, at) if ours else (),
        sentence=told.denied_by(message),
    )


def _limits(asked: Ask, at: State) -> tuple[str, ...]:
    found = [NOT_KNOWN, *at.identity.limits, *(limit for one in at.resources.values() for limit in one.limits)]
    if asked.row["principal_type"] == "FederatedUser":
        found.append("A federated user has what its user's policies and its session policy both allow.")
    if asked.row["principal_type"] == "AWSAccount":
        found.append("The record names the caller's account only; the copy in that account names the caller.")
    if at.identity.bounded and not _boundary_is_held(at):
        found.append("The permissions boundary's document is not held.")
    return tuple(dict.fromkeys(found))


def _unreadable(at: State) -> tuple[str, ...]:
    of_resources = (one for held in at.resources.values() for one in held.policies)
    found = (
        f"{one.label()}: {one.policy.reason}"
        for one in (*at.identity.policies, *of_resources)
        if not isinstance(one.policy, Policy)
    )
    return tuple(dict.fromkeys(found))


def _ranked(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Surest first; ties by name, so that the order is always the same."""
    return sorted(
        candidates,
        key=lambda one: (
            not one.is_sure(),
            STANDINGS.index(one.standing),
            one.policy_type,
            one.policy,
            one.statement,
            one.event_id or "",
        ),
    )


def _plain(verdict: str, label: str | None, sentence: str, *, limits: tuple[str, ...]) -> Explanation:
    return Explanation(
        verdict=verdict,
        label=label,
        standing=None,
        conditions=None,
        said=None,
        statements=(),
        against=(),
        contradictions=(),
        unreadable=(),
        limits=limits,
        sentence=sentence,
    )
