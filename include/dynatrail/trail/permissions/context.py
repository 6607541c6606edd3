"""The request context that conditions are held against: what a record has of it, and nothing that it has not.

"AWS global condition context keys" says when each key is there. A key that is not here, or whose field may be missing
for another reason than that the request lacked it, cannot be told.
"""

from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any

from dynatrail import clock
from dynatrail.trail.permissions.patterns import ABSENT, Values
from dynatrail.trail.permissions.requests import PARTIQL, TRANSACTIONS

Row = Mapping[str, Any]

_LONG = 1024
"""CloudTrail cuts user agents here."""

_SESSIONS = frozenset(("AssumedRole", "FederatedUser"))
_PRINCIPAL_TAG = "aws:principaltag/"


def _address(row: Row) -> Values:
    """Through a VPC endpoint the request has `aws:VpcSourceIp` instead; a service's call has that service's address."""
    if row["vpc_endpoint_id"]:
        return ABSENT
    return _ip(row)


def _ip(row: Row) -> Values:
    try:
        return None if row["invoked_by"] else (str(ip_address(row["source_ip_address"] or "")),)
    except ValueError:
        return None


def _vpc_address(row: Row) -> Values:
    return _ip(row) if row["vpc_endpoint_id"] else ABSENT


def _endpoint(row: Row) -> Values:
    if row["vpc_endpoint_id"]:
        return (row["vpc_endpoint_id"],)
    # The field exists since version 1.04; a service's call on someone's behalf may have come through one unseen.
    return None if row["invoked_by"] or _version(row) < (1, 4) else ABSENT


def _version(row: Row) -> tuple[int, ...]:
    numbers = str(row["event_version"] or "").split(".")
    return tuple(int(one) for one in numbers) if all(one.isdigit() for one in numbers) else (0,)


def _mfa(row: Row) -> Values:
    if row["key_kind"] == "AKIA":
        return ABSENT
    return None if row["mfa_authenticated"] is None else (str(row["mfa_authenticated"]).lower(),)


def _issued(row: Row) -> Values:
    if row["key_kind"] == "AKIA":
        return ABSENT
    issued = row["session_created_at"]
    return None if issued is None else (clock.iso(issued),)


def _source_identity(row: Row) -> Values:
    if row["source_identity"]:
        return (row["source_identity"],)
    return ABSENT if row["key_kind"] == "AKIA" or row["principal_type"] == "AssumedRole" else None


def _tls(row: Row) -> Values:
    return ("true",) if row["tls_version"] else None


def _agent(row: Row) -> Values:
    agent = row["user_agent"]
    return None if not agent or len(agent) >= _LONG or agent == "AWS Internal" or row["invoked_by"] else (agent,)


def _principal(row: Row) -> Values:
    arn = row["session_issuer_arn"] if row["principal_type"] in ("AssumedRole", "Role") else row["principal_arn"]
    return (arn,) if arn else None


def _user_name(row: Row) -> Values:
    if row["principal_type"] == "IAMUser":
        return (row["user_name"],) if row["user_name"] else None
    return ABSENT if row["principal_type"] in (*_SESSIONS, "Root") else None


def _user_id(row: Row) -> Values:
    return (row["principal_id"],) if row["principal_id"] and row["principal_type"] != "AWSAccount" else None


def _account(row: Row) -> Values:
    return (row["account_id"],) if row["account_id"] else None


def _type(row: Row) -> Values:
    told = {"Root": "Account", "IAMUser": "User", "AssumedRole": "AssumedRole", "FederatedUser": "FederatedUser"}
    kind = told.get(row["principal_type"])
    return (kind,) if kind else None


def _is_service(row: Row) -> Values:
    return ("true" if row["principal_type"] == "AWSService" else "false",)


def _via_service(row: Row) -> Values:
    return None if row["invoked_by"] else ("false",)


def _now(row: Row) -> Values:
    return (clock.iso(row["event_time"]),)


def _epoch(row: Row) -> Values:
    return (str(int(row["event_time"].timestamp())),)


def _region(row: Row) -> Values:
    return (row["region"],)


def _enclosing(row: Row) -> Values:
    if row["event_name"] in TRANSACTIONS:
        return (row["event_name"],)
    # Single calls lack it, by "Using IAM with DynamoDB transactions"; of other PartiQL calls nothing is documented.
    return None if row["event_name"] in PARTIQL else ABSENT


def _select(row: Row) -> Values:
    return (row["select_asked"],) if row["select_asked"] else None


_KEYS: dict[str, tuple[Callable[[Row], Values], tuple[str, ...]]] = {
    "aws:sourceip": (_address, ("source_ip_address", "vpc_endpoint_id")),
    "aws:vpcsourceip": (_vpc_address, ("source_ip_address", "vpc_endpoint_id")),
    "aws:sourcevpce": (_endpoint, ("vpc_endpoint_id", "event_version")),
    "aws:multifactorauthpresent": (_mfa, ("key_kind", "mfa_authenticated")),
    "aws:tokenissuetime": (_issued, ("key_kind", "session_created_at")),
    "aws:sourceidentity": (_source_identity, ("key_kind", "source_identity")),
    "aws:securetransport": (_tls, ("tls_version",)),
    "aws:useragent": (_agent, ("user_agent",)),
    "aws:principalarn": (_principal, ("principal_arn",)),
    "aws:username": (_user_name, ("user_name",)),
    "aws:userid": (_user_id, ("principal_id",)),
    "aws:principalaccount": (_account, ()),
    "aws:principaltype": (_type, ()),
    "aws:principalisawsservice": (_is_service, ()),
    "aws:viaawsservice": (_via_service, ()),
    "aws:currenttime": (_now, ("event_time",)),
    "aws:epochtime": (_epoch, ("event_time",)),
    "aws:requestedregion": (_region, ()),
    "dynamodb:enclosingoperation": (_enclosing, ()),
    "dynamodb:select": (_select, ("select_asked",)),
}
"""Key -> how to read it, and the columns that it needs beyond those that calls are grouped by."""

TELLABLE = frozenset(_KEYS)
"""Keys that can be told from a record."""

LATE_COLUMNS = (
    *("source_ip_address", "vpc_endpoint_id", "event_version", "key_kind", "mfa_authenticated"),
    *("session_created_at", "source_identity", "tls_version", "user_agent", "principal_arn", "user_name"),
    *("principal_id", "event_time", "select_asked"),
)
"""Columns that differ from call to call and that few policies ask for."""


def columns_for(key: str) -> tuple[str, ...]:
    """The late columns that a key is told from; none for keys that cannot be told."""
    return _KEYS[key][1] if key in _KEYS else ()


def known(row: Row, tags: Mapping[str, str] | None = None) -> Callable[[str], Values]:
    """What the request of `row` holds under a key in lower case.

    Args:
        row: the columns of `sql/permission/calls.sql` that the keys asked for need.
        tags: the principal's tags by lower-case key, where they are known to be all it has: those of an IAM user.
    """

    def look(key: str) -> Values:
        if key.startswith(_PRINCIPAL_TAG):
            if tags is None:
                return None
            value = tags.get(key.removeprefix(_PRINCIPAL_TAG))
            return ABSENT if value is None else (value,)
        found = _KEYS.get(key)
        return found[0](row) if found else None

    return look
