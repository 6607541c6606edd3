"""What an explanation is: the verdict on one call, the statements behind it, and what it does not know."""

from typing import Any

import msgspec

from dynatrail import clock
from dynatrail.trail.permissions.patterns import Answer
from dynatrail.trail.permissions.policies import Statement
from dynatrail.trail.permissions.requests import Need
from dynatrail.trail.permissions.sources import Source

SAID_BY_AWS = "said_by_aws"
RECOMPUTED = "recomputed"

DENIED = "denied"
IDENTITY = "identity_policy"
RESOURCE = "resource_policy"
BOTH = "both"
ROOT = "root"
SERVICE_LINKED = "service_linked"
NOT_EXPLAINED = "not_explained"
NO_SNAPSHOT = "no_snapshot"
NOT_ASSESSED = "not_assessed"

NO_CONDITION = "none"
HOLDS = "holds"
CANNOT_BE_TOLD = "cannot_be_told"

_STANDING_WORDS = {"in_force": "", "may_have_differed": ", may have differed", "seen_later": ", seen later"}
_encode = msgspec.json.Encoder(order="sorted").encode


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A statement that matches one action and resource of a call.

    Attributes:
        condition: none, holds or cannot_be_told; one that does not hold makes no candidate.
        matched: cannot_be_told where resource or principal hang on what is not known.
        grants_to: whom a resource policy's statement names: everyone, account, role, principal or service.
        why: why the policy is not surely what was in force.
    """

    effect: str
    action: str
    resource: str | None
    policy: str
    policy_type: str
    policy_arn: str | None
    holder: str
    sid: str | None
    statement: int
    matched: str
    condition: str
    grants_to: str | None
    standing: str
    seen_at: str
    event_id: str | None
    why: str | None

    def name(self) -> str:
        """`statement Sid of policy X`."""
        return f"statement {self.sid or self.statement} of {self.policy}"

    def is_sure(self) -> bool:
        return CANNOT_BE_TOLD not in {self.condition, self.matched}


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What the message of a denied call says; what it leaves out is None."""

    action: str | None
    resource: str | None
    kind: str | None
    policy_type: str | None
    policy_arn: str | None


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on a call.

    Attributes:
        label: said_by_aws or recomputed; None where nothing was decided.
        standing: of the least sure of the statements that the verdict needs.
        conditions: holds, or cannot_be_told if a needed statement has a condition that cannot be.
        statements: candidates that allowed it, or for a denied call may have denied it.
        contradictions: what speaks against the verdict, a sentence each.
        unreadable: policies whose document cannot be read, and why.
    """

    verdict: str
    label: str | None
    standing: str | None
    conditions: str | None
    said: Said | None
    statements: tuple[Candidate, ...]
    against: tuple[Candidate, ...]
    contradictions: tuple[str, ...]
    unreadable: tuple[str, ...]
    limits: tuple[str, ...]
    sentence: str

    def json(self) -> str:
        """Canonical JSON."""
        return _encode(self).decode()


def candidate(
    source: Source, statement: Statement, need: Need, matched: Answer, condition: Answer, grants_to: str
) -> Candidate:
    """A matching statement as told to people."""
    return Candidate(
        effect="Allow" if statement.allows else "Deny",
        action=need.action,
        resource=need.resource,
        policy=source.label(),
        policy_type=source.kind,
        policy_arn=source.arn,
        holder=source.holder,
        sid=statement.sid,
        statement=statement.number,
        matched="yes" if matched else CANNOT_BE_TOLD,
        condition=NO_CONDITION if not statement.lines else HOLDS if condition else CANNOT_BE_TOLD,
        grants_to=grants_to or None,
        standing=source.standing,
        seen_at=clock.iso(source.seen_at),
        event_id=source.event_id,
        why=source.why,
    )


def allowed_by(
    candidates: tuple[Candidate, ...], standing: str, conditions: str, denied: Candidate | None = None
) -> str:
    """`allowed by statement ClinicWrites of policy X (recomputed)`; `denied`: the Deny that speaks against it."""
    names = list(dict.fromkeys(one.name() for one in candidates))
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    whose = "the permissions boundary's" if all(one.is_sure() for one in candidates) else "its"
    unsure = f", {whose} condition cannot be told" if conditions == CANNOT_BE_TOLD else ""
    against = f", though {denied.name()} denies it" if denied else ""
    return f"allowed by {names[0]}{more} (recomputed{_STANDING_WORDS[standing]}{unsure}{against})"


def denied_by(said: Said) -> str:
    """`denied: no identity-based policy allows dynamodb:Scan (said by AWS)`."""
    action = said.action or "the call"
    if said.kind is None:
        return f"denied: {action}; which policy decided is not said (said by AWS)"
    if said.kind == "implicit":
        return f"denied: no {said.policy_type} allows {action} (said by AWS)"
    arn = f" {said.policy_arn}" if said.policy_arn else ""
    return f"denied: an explicit deny of {action} in a {said.policy_type}{arn} (said by AWS)".replace(
        "in a identity", "in an identity"
    )


def said(row: Any) -> Said:
    """What the columns of a denied call say."""
    told: str | None = row["denied_by"]
    kind = policy_type = arn = None
    if told:
        low = told.lower()
        kind = "implicit" if low.startswith("no ") else "explicit"
        policy_type, _, arn = told.partition(": ")
        for prefix in ("no ", "an explicit deny in an ", "an explicit deny in a "):
            if policy_type.lower().startswith(prefix):
                policy_type = policy_type[len(prefix) :]
    return Said(
        action=row["denied_action"],
        resource=row["denied_resource_arn"],
        kind=kind,
        policy_type=policy_type,
        policy_arn=arn or None,
    )
