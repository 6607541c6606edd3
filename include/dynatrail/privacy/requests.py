"""What a CloudTrail record says was asked for, with no item key value in clear.

The fast path decodes the shapes that are known (aws-facts a4; "Understanding DynamoDB log file entries") into typed
structs that forbid unknown fields, and encodes them again: nothing but listed fields can pass. Any other shape takes
the careful path (`unknown_shapes.py`), which keeps names and masks every value it cannot vouch for.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import msgspec
from msgspec import Raw

from dynatrail.privacy import expressions, partiql
from dynatrail.privacy.shapes import ABSENT, Member, Parameters, read_members, read_parameters
from dynatrail.privacy.tokens import Tokenizer, canonical_number

KeyTypes = Mapping[str, Mapping[str, str]]
"""Table name -> key attribute -> S, N or B, as far as known; otherwise a key's text is taken as CloudTrail wrote it."""


class Item(NamedTuple):
    """One item that a request names; `token` is None where AWS redacted the key."""

    table: str | None
    operation: str
    token: str | None
    key_attributes: list[str] | None
    attribute_names: list[str] | None
    update_expression: str | None


class Request(NamedTuple):
    """One masked request; `values` maps each clear key text that was found to its token, for masking messages."""

    parameters: str | None
    tables: tuple[str, ...] = ()
    index_name: str | None = None
    attribute_names: list[str] | None = None
    update_expression: str | None = None
    statement: str | None = None
    condition_token: str | None = None
    condition_attributes: list[str] | None = None
    items: tuple[Item, ...] = ()
    values: Mapping[str, str] = {}


_string_key = msgspec.json.Decoder(dict[str, str]).decode
_key = msgspec.json.Decoder(dict[str, Raw]).decode
_string = msgspec.json.Decoder(str).decode
_typed = msgspec.json.Decoder(dict[str, str | bool | None]).decode
_encode = msgspec.json.Encoder().encode

_OPERATION = {"GetItem": "Get", "PutItem": "Put", "UpdateItem": "Update", "DeleteItem": "Delete"}
_BATCH_OPERATION = {"BatchGetItem": "Get", "TransactGetItems": "Get"}


class DataRequests:
    """Masks the parameters of DynamoDB data events."""

    def __init__(self, tokens: Tokenizer, key_types: KeyTypes) -> None:
        self.tokens = tokens
        self.key_types = key_types

    def mask(self, event_name: str, raw: bytes) -> Request:
        """Read and mask one requestParameters object.

        Raises:
            msgspec.ValidationError: the shape is none that is known; take the careful path.
        """
        asked = read_parameters(raw)
        _check_single(asked)
        if asked.request_items is not ABSENT:
            return self._several(event_name, asked)
        if asked.statement is not None:
            return self._statement(asked)
        if asked.shard_iterator is not None or asked.stream_arn is not None:
            return _stream(asked)
        return self._classic(event_name, asked)

    def key(self, raw: Raw | bytes, table: str | None) -> tuple[list[tuple[str, str]], dict[str, str], dict[str, str]]:
        """The (attribute, canonical text) pairs of a key object, each attribute's token, and that of each clear text.

        Raises:
            msgspec.ValidationError: it is no object, or one of nested values.
        """
        numbers = self.numbers(table)
        try:
            pairs = list(_string_key(raw).items())
        except msgspec.ValidationError:
            pairs = [(name, _text(value)) for name, value in _key(raw).items()]
        texts = pairs
        if numbers:
            pairs = [(name, canonical_number(text) if name in numbers else text) for name, text in pairs]
        token = self.tokens.value
        tokens = {name: token(text) for name, text in pairs}
        return pairs, tokens, {text: tokens[name] for name, text in texts}

    def numbers(self, table: str | None) -> frozenset[str]:
        """The key attributes of a table that are known to be numbers."""
        types = self.key_types.get(table, {}) if table else {}
        return frozenset(name for name, kind in types.items() if kind == "N")

    def _classic(self, event_name: str, asked: Parameters) -> Request:
        table, names = asked.table_name, asked.expression_attribute_names or {}
        written, expression = _attributes(asked, names)
        condition: tuple[str | None, list[str] | None] = (None, None)
        items: tuple[Item, ...] = ()
        values: dict[str, str] = {}
        operation = _OPERATION.get(event_name)
        if asked.key is not ABSENT:
            pairs, tokens, values = self.key(asked.key, table)
            token, attributes = self.tokens.item(pairs), sorted(tokens)
            asked.key = Raw(_encode(tokens))
            if operation:
                items = (Item(table, operation, token, attributes, written, expression),)
            else:
                condition = (token, attributes)
        elif operation:
            items = (Item(table, operation, None, None, written, expression),)
        if asked.exclusive_start_key is not ABSENT:
            _, tokens, started = self.key(asked.exclusive_start_key, table)
            asked.exclusive_start_key = Raw(_encode(tokens))
            values |= started
        _drop_literals(asked)
        return Request(
            _encode(asked).decode(),
            (table,) if table else (),
            asked.index_name,
            written,
            expression,
            None,
            *condition,
            items,
            values,
        )

    def _several(self, event_name: str, asked: Parameters) -> Request:
        members = read_members(asked.request_items)
        tables, items, statements = set(), [], []
        values: dict[str, str] = {}
        for member in members:
            if member.statement is not None:
                _drop_literals(member)
                if member.key is not ABSENT:
                    raise msgspec.ValidationError("a member with a statement and a key")
                statement = partiql.read(member.statement, self.tokens)
                member.statement = statement.text
                statements.append(statement.text)
                table = member.table_name = statement.table or member.table_name
                items += self.statement_items(statement)
                values |= statement.clear
            else:
                table = member.table_name
                items.append(self._member(event_name, member, values))
            if table:
                tables.add(table)
        asked.request_items = Raw(_encode(members))
        _drop_literals(asked)
        touched = {name for item in items for name in item.attribute_names or ()}
        return Request(
            _encode(asked).decode(),
            tuple(sorted(tables)),
            attribute_names=sorted(touched) or None,
            statement="; ".join(statements) or None,
            items=tuple(items),
            values=values,
        )

    def _member(self, event_name: str, member: Member, values: dict[str, str]) -> Item:
        names = member.expression_attribute_names or {}
        written, expression = _attributes(member, names)
        token = attributes = None
        if member.key is not ABSENT:
            pairs, tokens, clear = self.key(member.key, member.table_name)
            token, attributes = self.tokens.item(pairs), sorted(tokens)
            member.key = Raw(_encode(tokens))
            values |= clear
        _drop_literals(member)
        operation = member.operation or _BATCH_OPERATION.get(event_name) or event_name
        return Item(member.table_name, operation, token, attributes, written, expression)

    def _statement(self, asked: Parameters) -> Request:
        _drop_literals(asked)
        statement = partiql.read(asked.statement or "", self.tokens)
        asked.statement = statement.text
        bound = self._bound(statement) if statement.operation == "Select" else []
        return Request(
            _encode(asked).decode(),
            (statement.table,) if statement.table else (),
            statement.index,
            list(statement.attribute_names) or None,
            None,
            statement.text,
            self.tokens.item(bound) if bound else None,
            [name for name, _ in bound] or None,
            tuple(self.statement_items(statement)),
            statement.clear,
        )

    def statement_items(self, statement: partiql.Statement) -> list[Item]:
        """UPDATE, DELETE and EXISTS name one item by its whole key; INSERT names one whose key AWS redacted."""
        if statement.operation in (None, "Select"):
            return []
        key = self._bound(statement)
        return [
            Item(
                statement.table,
                statement.operation or "",
                self.tokens.item(key) if key else None,
                sorted(name for name, _ in key) or None,
                list(statement.attribute_names) or None,
                None,
            )
        ]

    def _bound(self, statement: partiql.Statement) -> list[tuple[str, str]]:
        numbers = self.numbers(statement.table)
        return [(name, canonical_number(text) if name in numbers else text) for name, text in statement.key]


def _check_single(asked: Parameters) -> None:
    """Each of the ways below masks what it knows of; two of them in one request are no shape that is known."""
    keyed = asked.key is not ABSENT or asked.exclusive_start_key is not ABSENT
    streamed = asked.shard_iterator is not None or asked.stream_arn is not None
    if (asked.request_items is not ABSENT) + (asked.statement is not None) + streamed + keyed > 1:
        raise msgspec.ValidationError("a request of several kinds")


def _text(value: Raw) -> str:
    """A key value as bare text, whatever JSON type CloudTrail gave it."""
    raw = bytes(value)
    if raw[:1] == b'"':
        return _string(raw)
    if raw[:1] not in b"{[":
        return raw.decode()
    typed = _typed(raw)  # {"S": "…"}: not seen in real records, accepted all the same
    if len(typed) != 1:
        raise msgspec.ValidationError("a key value is an object of other than one member")
    return str(next(iter(typed.values())))


def _attributes(asked: Parameters | Member, names: dict[str, str]) -> tuple[list[str] | None, str | None]:
    """The attributes a request names, and its update expression with names resolved."""
    if asked.update_expression is not None:
        return _update(asked.update_expression, tuple(names.items()))
    listed = asked.items or asked.item
    if listed is not None:
        return sorted(set(listed)), None
    if asked.projection_expression is not None:
        return expressions.projection(expressions.without_literals(asked.projection_expression), names), None
    if isinstance(asked, Parameters):
        legacy = asked.attribute_updates or asked.attributes_to_get
        if legacy is not None:
            return sorted(set(legacy)), None
    return None, None


@lru_cache(maxsize=8192)
def _update(expression: str, names: tuple[tuple[str, str], ...]) -> tuple[list[str], str]:
    safe = expressions.without_literals(expression)
    return expressions.update_targets(safe, dict(names)), expressions.resolve(safe, dict(names))


def _drop_literals(asked: Parameters | Member) -> None:
    safe = expressions.without_literals
    if asked.update_expression is not None:
        asked.update_expression = safe(asked.update_expression)
    if asked.condition_expression is not None:
        asked.condition_expression = safe(asked.condition_expression)
    if asked.projection_expression is not None:
        asked.projection_expression = safe(asked.projection_expression)
    if isinstance(asked, Parameters):
        if asked.key_condition_expression is not None:
            asked.key_condition_expression = safe(asked.key_condition_expression)
        if asked.filter_expression is not None:
            asked.filter_expression = safe(asked.filter_expression)
        if asked.search_condition_expression is not None:
            asked.search_condition_expression = safe(asked.search_condition_expression)


def _stream(asked: Parameters) -> Request:
    """GetRecords names its stream only inside the iterator (`STREAM_ARN|n|opaque`); the opaque part is a capability."""
    _drop_literals(asked)
    stream = asked.stream_arn
    if asked.shard_iterator is not None:
        named, bar, _ = asked.shard_iterator.partition("|")
        stream = named if bar and "/stream/" in named else stream
        asked.shard_iterator = f"{named}|{expressions.MASKED}" if stream == named else expressions.MASKED
    table = stream.partition("/stream/")[0] if stream else None
    return Request(_encode(asked).decode(), (table,) if table else ())
