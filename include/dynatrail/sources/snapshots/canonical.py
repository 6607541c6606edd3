"""Documents in one form: the same setting always gives the same text, whatever order or encoding AWS answers in.

Keys are sorted. Lists are sorted by their members' text, but for those whose order has a meaning (`ordered` in
`include/configuration/volatile.yaml`). A policy, wherever it is and however encoded, becomes an object whose single
values are lists, as IAM reads both alike. Instants are ISO 8601 in UTC.
"""

import base64
import hashlib
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import msgspec

from dynatrail import clock
from dynatrail.privacy.documents import policy_in
from dynatrail.sources.snapshots import volatile

_encode = msgspec.json.Encoder(order="sorted").encode
_AS_LISTS = ("Action", "NotAction", "Resource", "NotResource")
_PRINCIPALS = ("Principal", "NotPrincipal")


def text(document: Any, aspect: str, conditions: Collection[str] = ()) -> str:
    """The canonical JSON of a document of `aspect`, without its volatile fields."""
    rules = volatile.rules()
    return _encode(_form(document, rules.fields(aspect, conditions), rules.ordered)).decode()


def sha256(document: str) -> str:
    """SHA-256 of a document's canonical JSON, hex."""
    return hashlib.sha256(document.encode()).hexdigest()


def holds_external_id(document: str) -> bool:
    """Whether a policy in it asks for an external id: worth a mark, as some keep it like a secret."""
    return '"sts:externalid"' in document.lower()


def _form(value: Any, left_out: frozenset[str], ordered: frozenset[str], name: str = "") -> Any:
    if isinstance(value, str):
        policy = policy_in(value)
        return value if policy is None else _policy(policy)
    if isinstance(value, Mapping):
        if "Statement" in value:
            return _policy(value)
        return {
            key: _form(member, left_out, ordered, key)
            for key, member in value.items()
            if key not in left_out and key != "ResponseMetadata"
        }
    if isinstance(value, (list, tuple, set, frozenset)):
        members = [_form(member, left_out, ordered) for member in value]
        return members if name in ordered else sorted(members, key=_encode)
    if isinstance(value, datetime):
        return clock.iso(value)
    return base64.b64encode(value).decode() if isinstance(value, (bytes, bytearray)) else value


def _policy(policy: Mapping[str, Any]) -> dict[str, Any]:
    statements = policy["Statement"]
    statements = statements if isinstance(statements, list) else [statements]
    formed = sorted((_statement(one) if isinstance(one, dict) else one for one in statements), key=_encode)
    return {**policy, "Statement": formed}


def _statement(statement: Mapping[str, Any]) -> dict[str, Any]:
    formed = dict(statement)
    for name in _AS_LISTS:
        if name in formed:
            formed[name] = _as_set(formed[name])
    for name in _PRINCIPALS:
        if isinstance(formed.get(name), dict):
            formed[name] = {kind: _as_set(members) for kind, members in formed[name].items()}
    if isinstance(formed.get("Condition"), dict):
        formed["Condition"] = {
            operator: {key: _as_set(values) for key, values in tests.items()} if isinstance(tests, dict) else tests
            for operator, tests in formed["Condition"].items()
        }
    return formed


def _as_set(value: Any) -> list[Any]:
    members = value if isinstance(value, list) else [value]
    return sorted({_encode(member): member for member in members}.values(), key=_encode)
