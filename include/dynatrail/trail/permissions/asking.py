"""What a group of alike calls asked for, and which policies count for it at an instant."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dynatrail.trail.permissions import context
from dynatrail.trail.permissions.conditions import cuts
from dynatrail.trail.permissions.facts import Entity, named
from dynatrail.trail.permissions.patterns import Variable, parts
from dynatrail.trail.permissions.policies import Policy, Statement
from dynatrail.trail.permissions.requests import EVERYTHING, Need, Request, needs
from dynatrail.trail.permissions.sources import Book, Source, Sources

Row = Mapping[str, Any]

ROLES = frozenset(("AssumedRole", "Role"))
_PRESENT = frozenset(("aws:currenttime", "aws:epochtime"))
_SERVICE_PATH = ":role/aws-service-role/"


@dataclass(frozen=True, slots=True)
class Ask:
    """What a group of alike calls asked for.

    Attributes:
        principal: whose identity policies count; None: nobody's that are known.
        account_id: the caller's.
    """

    row: Row
    needs: tuple[Need, ...]
    principal: Entity | None
    account_id: str | None
    is_root: bool
    is_service_linked: bool

    def resources(self) -> list[str]:
        """Tables and streams whose policies count."""
        return sorted({one for need in self.needs if (one := holder_of_policy(need.resource))})


def ask(row: Row) -> Ask:
    """Read the columns of `sql/permission/calls.sql` that calls are grouped by."""
    holder, kind = row["holder_arn"], row["principal_type"]
    account = row["account_id"] or (part_of(holder, 4) if holder else None)
    root = kind == "Root" or (kind == "FederatedUser" and holder is not None and holder.endswith(":root"))
    principal: Entity | None = None
    if holder and not root:
        entity = "role" if kind in ROLES else "user" if kind in ("IAMUser", "FederatedUser") else None
        principal = (entity, part_of(holder, 4), named(holder)) if entity else None
    return Ask(row, _needs(row), principal, account, root, bool(holder and _SERVICE_PATH in holder))


def _needs(row: Row) -> tuple[Need, ...]:
    if row["was_denied"]:
        return (Need(row["denied_action"], row["denied_resource_arn"]),) if row["denied_action"] else ()
    return needs(
        Request(
            row["event_name"],
            row["recipient_account_id"],
            row["region"],
            tuple(row["table_arns"] or ()),
            tuple(row["table_names"] or ()),
            row["index_name"],
            tuple(row["members"] or ()),
            row["statement_shape"],
            row["own_arn"],
        )
    )


def holder_of_policy(resource: str | None) -> str | None:
    """The table or stream whose policy is about a resource."""
    if resource is None or resource == EVERYTHING or ":table/" not in resource:
        return None
    if "/stream/" in resource:
        return resource
    head, _, tail = resource.partition(":table/")
    return f"{head}:table/{tail.partition('/')[0]}"


def part_of(arn: str, at: int) -> str:
    pieces = arn.split(":")
    return pieces[at] if len(pieces) > at else ""


@dataclass(frozen=True, slots=True)
class State:
    """The policies that counted for one ask during one stretch of time."""

    identity: Sources
    resources: Mapping[str, Sources]

    def of(self, need: Need) -> Sources:
        holder = holder_of_policy(need.resource)
        return self.resources[holder] if holder else Sources(known=True)


def state(book: Book, asked: Ask, instant: datetime) -> State:
    """The policies at an instant; the same for all instants between two of `Book.instants`."""
    of_principal = Sources()
    if asked.principal is not None:
        of_principal = book.of_principal(asked.principal, instant, asked.row["unique_id"])
    return State(of_principal, {arn: book.of_resource(arn, instant) for arn in asked.resources()})


def late_columns(asked: Ask, at: State) -> tuple[str, ...]:
    """Columns beyond the grouping ones that the conditions of statements about the call hang on."""
    found: set[str] = set()
    for need in asked.needs:
        for source in (*at.identity.policies, *at.of(need).policies):
            for statement in statements_of(source):
                if not statement.has_action(need.action):
                    continue
                for key in _keys(statement):
                    found.update(context.columns_for(key))
                if any(":sts:" in text for _, text in statement.principals or ()):
                    found.add("principal_arn")
    return tuple(sorted(found))


def time_cuts(asked: Ask, at: State) -> tuple[datetime, ...] | None:
    """Instants between which conditions about the present time say the same; None: each instant may differ."""
    found: set[datetime] = set()
    for need in asked.needs:
        for source in (*at.identity.policies, *at.of(need).policies):
            for statement in statements_of(source):
                if not statement.has_action(need.action):
                    continue
                for line in statement.lines:
                    cut = cuts(line) if line.key in _PRESENT else ()
                    if cut is None:
                        return None
                    found.update(cut)
                if _PRESENT & set(_variables(statement)):
                    return None
    return tuple(sorted(found))


def statements_of(source: Source) -> tuple[Statement, ...]:
    return source.policy.statements if isinstance(source.policy, Policy) else ()


def _keys(statement: Statement) -> Iterable[str]:
    yield from (one.key for one in statement.lines)
    yield from _variables(statement)


def _variables(statement: Statement) -> Iterable[str]:
    if statement.variables:
        resources = statement.resources.patterns if statement.resources else ()
        for text in (*resources, *(value for one in statement.lines for value in one.values)):
            yield from (part.key for part in parts(text) if isinstance(part, Variable))
