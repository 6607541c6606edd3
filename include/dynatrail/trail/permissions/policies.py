"""Policy documents taken apart: statements, and which of them speak of a principal, an action and a resource.

"IAM JSON policy elements reference": actions are not case-sensitive, resources are; a statement has an element or its
`Not` form, never both. A document that IAM would not have taken is unreadable as a whole, whatever of it could be read:
half a policy would allow or deny something else.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from dynatrail.trail.permissions.patterns import Answer, Known, every, like, matches, opposite, some

VARIABLES_SINCE = "2012-10-17"
_VERSIONS = frozenset((VARIABLES_SINCE, "2008-10-17"))
_ACCOUNT = re.compile(r"(\d{12})|arn:[\w-]+:iam::(\d{12}):root")
_UNIQUE_ID = re.compile(r"A[A-Z]{3}[A-Z0-9]{12,}")
_SCALARS = (str, int, float, bool)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a condition: an operator, a key in lower case, and the values that it is held against."""

    operator: str
    key: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Names:
    """Patterns of one element; `but`: it is the `Not` form."""

    patterns: tuple[str, ...]
    but: bool = False


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement.

    Attributes:
        number: its place in the document, from 1.
        principals: (kind, value) pairs; None in identity policies.
        variables: whether `${…}` means anything in it.
    """

    number: int
    sid: str | None
    allows: bool
    actions: Names
    resources: Names | None
    principals: tuple[tuple[str, str], ...] | None
    principals_but: bool
    lines: tuple[Line, ...]
    variables: bool

    def has_action(self, action: str) -> bool:
        """Whether it speaks of the action, `service:Name` in any case."""
        named = any(matches(one, action.lower()) for one in self.actions.patterns)
        return named != self.actions.but

    def has_resource(self, arn: str | None, known: Known) -> Answer:
        """Whether it speaks of the resource; None as `arn`: the call's resource is not known."""
        if self.resources is None:
            return True  # A resource's own policy may leave it out: it is about that resource.
        if arn is None:
            return True if "*" in self.resources.patterns and not self.resources.but else None
        named = some(like(one, arn, known if self.variables else None) for one in self.resources.patterns)
        return opposite(named) if self.resources.but else named


@dataclass(frozen=True, slots=True)
class Policy:
    """A document that could be read."""

    statements: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A document that could not, and why: never a value of it."""

    reason: str


class _FaultError(Exception):
    pass


def read(document: Any) -> Policy | Unreadable:
    """Take a decoded document apart; anything at all may come in."""
    try:
        return Policy(_statements(document))
    except _FaultError as fault:
        return Unreadable(str(fault))


def _statements(document: Any) -> tuple[Statement, ...]:
    if not isinstance(document, Mapping):
        raise _FaultError("it is no object")
    version = document.get("Version", "2008-10-17")
    if version not in _VERSIONS:
        raise _FaultError("its Version is none that IAM knows")
    statements = document.get("Statement")
    listed = statements if isinstance(statements, list) else [statements]
    return tuple(_statement(one, n, variables=version == VARIABLES_SINCE) for n, one in enumerate(listed, 1))


def _statement(one: Any, number: int, *, variables: bool) -> Statement:
    where = f"statement {number}"
    if not isinstance(one, Mapping):
        raise _FaultError(f"{where} is no object")
    if one.get("Effect") not in ("Allow", "Deny"):
        raise _FaultError(f"{where} has no Effect")
    actions = _names(one, "Action", where)
    if actions is None:
        raise _FaultError(f"{where} has no Action")
    principals, principals_but = _principals(one, where)
    sid = one.get("Sid")
    return Statement(
        number=number,
        sid=sid if isinstance(sid, str) and sid else None,
        allows=one["Effect"] == "Allow",
        actions=Names(tuple(pattern.lower() for pattern in actions.patterns), actions.but),
        resources=_names(one, "Resource", where),
        principals=principals,
        principals_but=principals_but,
        lines=tuple(_lines(one.get("Condition"), where)),
        variables=variables,
    )


def _names(one: Mapping[str, Any], element: str, where: str) -> Names | None:
    but = f"Not{element}"
    if element in one and but in one:
        raise _FaultError(f"{where} has both {element} and {but}")
    if element not in one and but not in one:
        return None
    return Names(_texts(one.get(element, one.get(but)), f"{where} {element}"), but=but in one)


def _texts(value: Any, where: str) -> tuple[str, ...]:
    listed = value if isinstance(value, list) else [value]
    if not listed or not all(isinstance(one, str) for one in listed):
        raise _FaultError(f"{where} is no text")
    return tuple(listed)


def _principals(one: Mapping[str, Any], where: str) -> tuple[tuple[tuple[str, str], ...] | None, bool]:
    if "Principal" in one and "NotPrincipal" in one:
        raise _FaultError(f"{where} has both Principal and NotPrincipal")
    but = "NotPrincipal" in one
    value = one.get("NotPrincipal" if but else "Principal")
    if value is None:
        return None, False
    if isinstance(value, Mapping):
        return tuple((str(kind), text) for kind, inner in value.items() for text in _texts(inner, where)), but
    return tuple(("AWS", text) for text in _texts(value, where)), but


def _lines(condition: Any, where: str) -> Iterable[Line]:
    if condition is None:
        return
    if not isinstance(condition, Mapping):
        raise _FaultError(f"{where} Condition is no object")
    for operator, tests in condition.items():
        if not isinstance(tests, Mapping):
            raise _FaultError(f"{where} Condition is no object of objects")
        for key, value in tests.items():
            values = value if isinstance(value, list) else [value]
            if not all(isinstance(inner, _SCALARS) for inner in values):
                raise _FaultError(f"{where} Condition has a value that is none")
            yield Line(str(operator), str(key).lower(), tuple(_scalar(inner) for inner in values))


def _scalar(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, as policies of resources name it.

    Attributes:
        arn: of the user, or of the session; None where only its account is known.
        role_arn: of the role that a session was issued for.
        unique_id: AIDA… or AROA…, which stands in a policy once its principal was deleted.
        service: principal of an AWS service that acts for itself, such as `lambda.amazonaws.com`.
    """

    account_id: str | None
    arn: str | None = None
    role_arn: str | None = None
    unique_id: str | None = None
    service: str | None = None


def names_caller(statement: Statement, caller: Caller) -> tuple[Answer, str]:
    """Whether a resource policy's statement speaks of the caller, and as what.

    As `everyone`, `account` (which only lets that account's own policies decide), `role`, `principal` (a user, or one
    session) or `service`; the strongest of them ("AWS JSON policy elements: Principal").
    """
    if statement.principals is None:
        return False, ""
    found = [(_is_caller(kind, text, caller), _as_what(text, caller)) for kind, text in statement.principals]
    if statement.principals_but:
        return _not_principal(found, caller), "everyone"
    for how in ("principal", "service", "role", "everyone", "account"):
        if any(answer and as_what == how for answer, as_what in found):
            return True, how
    return some(answer for answer, _ in found), "principal"


def _not_principal(found: list[tuple[Answer, str]], caller: Caller) -> Answer:
    """A session is left out only where account, role and session are all named; a user, where account and user are."""
    told = {how for answer, how in found if answer}
    if not told:
        return opposite(some(answer for answer, _ in found))
    needed = {"account", "role", "principal"} if caller.role_arn else {"account", "principal"}
    return False if "everyone" in told or "service" in told or needed <= told else None


def _is_caller(kind: str, text: str, caller: Caller) -> Answer:
    if kind == "Service":
        return caller.service is not None and caller.service == text
    if text == "*":
        return True
    if kind != "AWS" or caller.service is not None:
        return False
    if account := _account(text):
        return caller.account_id == account
    if _UNIQUE_ID.fullmatch(text):
        return None if caller.unique_id is None else caller.unique_id == text
    if caller.arn is None:
        return None if caller.account_id is not None and f":{caller.account_id}:" in text else False
    return text in (caller.arn, caller.role_arn)


def _as_what(text: str, caller: Caller) -> str:
    if text == "*":
        return "everyone"
    if caller.service is not None:
        return "service"
    if _account(text):
        return "account"
    return "role" if text == caller.role_arn or (caller.role_arn and text == caller.unique_id) else "principal"


@lru_cache(maxsize=4096)
def _account(text: str) -> str | None:
    found = _ACCOUNT.fullmatch(text)
    return found and (found[1] or found[2])


def speaks(
    statement: Statement, caller: Caller | None, action: str, resource: str | None, known: Known
) -> tuple[Answer, str]:
    """Whether a statement, but for its condition, is about the call; `caller` None: it is an identity policy's."""
    if not statement.has_action(action) or (caller is None and statement.resources is None):
        return False, ""
    named, how = (True, "") if caller is None else names_caller(statement, caller)
    return every((named, statement.has_resource(resource, known) if named is not False else False)), how
