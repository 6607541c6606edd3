"""Configuration that quotes items' values: what a policy, an export's filter or an alarm names becomes tokens.

A policy may allow single partition keys (`dynamodb:LeadingKeys`, and `dynamodb:FirstPartitionKeyValues` and its like:
"Using IAM policy conditions for fine-grained access control", DynamoDB developer guide), an export may be filtered by
values, and an alarm may watch a metric of an application's own, with a person in a dimension. All else stays as it is,
policy variables and wildcards too: `USER#${aws:userid}` names nobody.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

import msgspec

from dynatrail.privacy import expressions
from dynatrail.privacy.tokens import PREFIX, Tokenizer, canonical_number

RESOURCE_DIMENSIONS = frozenset(
    ("TableName", "Operation", "GlobalSecondaryIndexName", "VectorIndexName", "StreamLabel", "ReceivingRegion", "Verb")
    + ("OperationType", "DelegatedOperation", "Source", "FunctionName", "StreamName", "BucketName", "QueueName")
)
"""Dimensions whose values are names of resources; a metric of an application's own may have a person in another."""

KEY_CONDITION = re.compile(r"dynamodb:(?:leadingkeys|[a-z]*partitionkeyvalues)", re.IGNORECASE)
"""Condition keys of a policy that are held against items' keys."""

_HINT = re.compile(r"leadingkeys|partitionkeyvalues|\\u", re.IGNORECASE)
"""What a text with such a policy holds, encoded or not."""

_LITERAL = re.compile(r"(\$\{[^}]*\}|[*?])|((?:(?!\$\{[^}]*\})[^*?])+)", re.DOTALL)
_TOKEN = re.compile(PREFIX + "[0-9a-f]{32}")
_EXPRESSIONS = frozenset(("filterexpression", "keyconditionexpression", "projectionexpression"))
_encode = msgspec.json.Encoder(order="sorted", enc_hook=str).encode

Tokens = Callable[[], Tokenizer]


def without_item_values(document: Any, tokens: Tokens) -> Any:
    """The document with tokens in the place of items' values.

    A policy in a text comes back as an object if it names values. `tokens` is called only when there are some.
    """
    if isinstance(document, str):
        policy = policy_in(document) if _HINT.search(document) else None
        masked = None if policy is None else without_item_values(policy, tokens)
        return document if masked == policy else masked
    if isinstance(document, Mapping):
        return {name: _member(str(name), inner, tokens) for name, inner in document.items()}
    if isinstance(document, list):
        return [without_item_values(inner, tokens) for inner in document]
    return document


def policy_in(value: str) -> dict[str, Any] | None:
    """The policy that a string holds, as plain or URL-encoded JSON (RFC 3986, as IAM sends it)."""
    plain = unquote(value) if value[:3].upper() == "%7B" else value
    if not plain.lstrip().startswith("{"):
        return None
    try:
        found = json.loads(plain)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and "Statement" in found else None


def _member(name: str, value: Any, tokens: Tokens) -> Any:
    low = name.lower()
    if KEY_CONDITION.fullmatch(name):
        return _literals(value, tokens)
    if low == "expressionattributevalues" and isinstance(value, Mapping):
        return {placeholder: _typed(one, tokens()) for placeholder, one in value.items()}
    if low in _EXPRESSIONS and isinstance(value, str):
        return expressions.without_literals(value)
    if low == "dimensions" and isinstance(value, list):
        return [_dimension(one, tokens) for one in value]
    return without_item_values(value, tokens)


def _literals(value: Any, tokens: Tokens) -> Any:
    """A condition's values without what is literal in them; `true` and `false` ask whether there is a key at all."""
    if isinstance(value, list):
        return [_literals(inner, tokens) for inner in value]
    if isinstance(value, Mapping):
        return {name: _literals(inner, tokens) for name, inner in value.items()}
    if value is None or isinstance(value, bool) or value in ("true", "false"):
        return value
    return _LITERAL.sub(lambda found: found[1] or _once(found[2], tokens()), str(value))


def _once(text: str, tokens: Tokenizer) -> str:
    return text if _TOKEN.fullmatch(text) else tokens.value(text)


def _typed(value: Any, tokens: Tokenizer) -> Any:
    """A value with its type, as DynamoDB writes it; a key's has the token that it has elsewhere."""
    if isinstance(value, Mapping) and len(value) == 1:
        ((kind, held),) = value.items()
        if kind in ("S", "N") and isinstance(held, str):
            return {kind: tokens.value(canonical_number(held) if kind == "N" else held)}
    return tokens.value(_encode(value).decode())


def _dimension(value: Any, tokens: Tokens) -> Any:
    if not isinstance(value, Mapping) or value.get("Name") in RESOURCE_DIMENSIONS or "Value" not in value:
        return without_item_values(value, tokens)
    return {**value, "Value": _once(str(value["Value"]), tokens())}
