"""Which item is meant: its table, found by name or ARN, its token, and what is known of the parts of its key.

The trail holds no key values. From a key in clear every token can be computed, also those of its single attributes,
which is what a Query's condition is known by. From a token alone only the whole key is known; the values' tokens are
then taken from a recorded request that names the item.
"""

import difflib
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from dynatrail.arns import place_of
from dynatrail.clock import hour_of
from dynatrail.errors import SettingsError
from dynatrail.privacy.tokens import PREFIX, canonical_number
from dynatrail.trail.items_found import hour_after
from dynatrail.warehouse import engine
from dynatrail.warehouse.schema import NAMES

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from dynatrail.privacy.tokens import Tokenizer

_TOKEN = re.compile(rf"{PREFIX}[0-9a-f]{{32}}")
_NEAR = 5


@dataclass(frozen=True, slots=True)
class Part:
    """One attribute of a key, or the whole key.

    Attributes:
        attributes: names, sorted.
        token: item token of these attributes and their values, as in `key_condition_token`; None: not known.
        value_token: token of the value, of a single attribute, as in `request_parameters`; None: not known.
    """

    attributes: tuple[str, ...]
    token: str | None
    value_token: str | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One item of one table.

    Attributes:
        item_key_token: token of its key.
        parts: what is known of its key: the whole key last; empty where nobody has named the attributes.
    """

    table_arn: str
    item_key_token: str
    parts: tuple[Part, ...] = ()

    @property
    def table_name(self) -> str:
        return place_of(self.table_arn).name


@dataclass(frozen=True, slots=True)
class KeySchema:
    """The key of a table, as far as anything told it.

    Attributes:
        attributes: names, sorted; empty: nothing told them.
        numbers: those that are numbers.
    """

    attributes: tuple[str, ...]
    numbers: frozenset[str] = frozenset()


def table_arn(connection: "DuckDBPyConnection", named: str) -> str:
    """The ARN of the table that a person names, by name or ARN.

    Raises:
        SettingsError: the warehouse knows no such table, or several of this name.
    """
    known = engine.run_file(connection, "items/tables.sql").to_pylist()
    found = _of_name(known, named)
    if not found:  # a table that no snapshot and no statement has; these are larger tables to look through
        known += engine.run_file(connection, "items/tables_named.sql").to_pylist()
        found = _of_name(known, named)
    if len(found) == 1:
        return str(found[0])
    if found:
        listed = "\n  ".join(found)
        raise SettingsError(f"There are {len(found)} tables named {named}. Name one of them by its ARN:\n  {listed}")
    if not known:
        raise SettingsError(
            f"The warehouse knows no table at all, so none named {named}. Fill it with `python -m dynatrail run`, or "
            "set DYNATRAIL_HOME to where it is."
        )
    names = sorted({row["table_arn"] if named.startswith("arn:") else row["table_name"] for row in known})
    near = difflib.get_close_matches(named, names, n=_NEAR, cutoff=0.5) or _same_but_case(named, names)
    meant = f"; did you mean {' or '.join(near)}?" if near else f". It knows {_listed(names)}."
    raise SettingsError(f"The warehouse knows no table {named}{meant}")


def key_schema(connection: "DuckDBPyConnection", arn: str, start: datetime, end: datetime) -> KeySchema:
    """The key of a table: from its latest description, else from items of it that were named in the window."""
    rows = engine.run_file(connection, "items/keys.sql", table_arn=arn, start=hour_of(start), end=hour_after(end))
    sets = []
    for row in rows.to_pylist():
        if row["document"] is None:
            sets.append(tuple(row["key_attributes"]))
            continue
        described = json.loads(row["document"])
        types = {one["AttributeName"]: one["AttributeType"] for one in described.get("AttributeDefinitions", ())}
        names = tuple(sorted(one["AttributeName"] for one in described.get("KeySchema", ())))
        return KeySchema(names, frozenset(name for name in names if types.get(name) == "N"))
    # A table that was made anew with another key has several; then nothing is taken for certain.
    return KeySchema(sets[0]) if len(sets) == 1 else KeySchema(())


def of_key(
    arn: str, key: Mapping[str, str], schema: KeySchema, tokens: "Tokenizer", numbers: Collection[str] = ()
) -> Item:
    """The item of a key in clear.

    Args:
        arn: of the table.
        key: attribute → text.
        schema: of the table.
        tokens: the masking key's.
        numbers: attributes that are numbers, beside those that the schema says.

    Raises:
        SettingsError: the attributes are not those of the table's key.
    """
    names = tuple(sorted(key))
    if schema.attributes and schema.attributes != names:
        raise SettingsError(
            f"The key of {place_of(arn).name} is {' and '.join(schema.attributes)}, but {' and '.join(names)} "
            f"{'was' if len(names) == 1 else 'were'} given. Give each of its attributes, and no other, as NAME=VALUE."
        )
    are_numbers = schema.numbers | frozenset(numbers)
    pairs = [(name, canonical_number(key[name]) if name in are_numbers else key[name]) for name in names]
    whole = tokens.item(pairs)
    if len(pairs) == 1:
        return Item(arn, whole, (Part(names, whole, tokens.value(pairs[0][1])),))
    singles = tuple(Part((name,), tokens.item([(name, text)]), tokens.value(text)) for name, text in pairs)
    return Item(arn, whole, (*singles, Part(names, whole)))


def of_token(arn: str, token: str) -> Item:
    """The item of a token; what its key consists of is not known yet.

    Raises:
        SettingsError: it is no token.
    """
    if not _TOKEN.fullmatch(token):
        raise SettingsError(
            f"{token[:60]!r} is no token: {PREFIX} and 32 hexadecimal digits. `python -m dynatrail token NAME=VALUE` "
            "makes it from a key."
        )
    return Item(arn, token)


def learnt(
    connection: "DuckDBPyConnection", items: Iterable[Item], requests: pa.Table, start: datetime, end: datetime
) -> list[Item]:
    """The items with what records tell of their keys, where only the token was given.

    Args:
        connection: an engine over the warehouse.
        items: any.
        requests: rows of `sql/items/requests.sql` about them.
        start: of the window in which keys are looked up where no snapshot describes the table.
        end: its end.
    """
    values: dict[tuple[str, str], dict[str, str]] = {}
    for row in requests.select(["table_arn", "item_key_token", "request_parameters"]).to_pylist():
        place = row["table_arn"], row["item_key_token"]
        if place not in values and (told := _key_of(row["request_parameters"])):
            values[place] = told
    schemas: dict[str, KeySchema] = {}
    found = []
    for item in items:
        if item.parts:
            found.append(item)
            continue
        if item.table_arn not in schemas:
            schemas[item.table_arn] = key_schema(connection, item.table_arn, start, end)
        told = values.get((item.table_arn, item.item_key_token), {})
        found.append(_with_parts(item, schemas[item.table_arn].attributes, told))
    return found


def _with_parts(item: Item, names: tuple[str, ...], told: Mapping[str, str]) -> Item:
    """An item of a token, with the attributes of its table's key and the value tokens that a request told."""
    if not names:
        return item
    told = told if tuple(sorted(told)) == names else {}
    if len(names) == 1:
        return replace(item, parts=(Part(names, item.item_key_token, told.get(names[0])),))
    singles = tuple(Part((name,), None, told.get(name)) for name in names)
    return replace(item, parts=(*singles, Part(names, item.item_key_token)))


def wanted(items: Sequence[Item]) -> dict[str, pa.Table]:
    """The relations `wanted_item` and `wanted_part` that the statements of `sql/items` read."""
    once = list(dict.fromkeys((item.table_arn, item.item_key_token) for item in items))
    parts: list[dict[str, Any]] = [
        {
            "table_arn": item.table_arn,
            "item_key_token": item.item_key_token,
            "attributes": list(part.attributes),
            "token": part.token,
            "value_token": part.value_token,
            "is_key": part is item.parts[-1],
        }
        for item in {(item.table_arn, item.item_key_token): item for item in items}.values()
        for part in item.parts
    ]
    text = pa.string()
    return {
        "wanted_item": pa.table(
            {"table_arn": [arn for arn, _ in once], "item_key_token": [token for _, token in once]},
            schema=pa.schema([("table_arn", text), ("item_key_token", text)]),
        ),
        "wanted_part": pa.Table.from_pylist(
            parts,
            schema=pa.schema(
                [("table_arn", text), ("item_key_token", text), ("attributes", NAMES), ("token", text)]
                + [("value_token", text), ("is_key", pa.bool_())]
            ),
        ),
    }


def _key_of(parameters: str | None) -> dict[str, str]:
    """The value tokens of the key that a request for one item names."""
    try:
        key = json.loads(parameters or "{}").get("key")
    except (ValueError, AttributeError):
        return {}
    if not isinstance(key, dict):
        return {}
    return {name: value for name, value in key.items() if isinstance(value, str)}


def _of_name(known: list[dict[str, Any]], named: str) -> list[str]:
    return sorted({row["table_arn"] for row in known if named in (row["table_name"], row["table_arn"])})


def _same_but_case(named: str, names: Sequence[str]) -> list[str]:
    return [name for name in names if name.lower() == named.lower()]


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[: _NEAR * 2])
    return f"{shown} and {len(names) - _NEAR * 2} more" if len(names) > _NEAR * 2 else shown
