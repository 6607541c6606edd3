"""The requests of a file's records: what repeats is taken once, and only keys are masked one by one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from dynatrail.privacy.requests import DataRequests, Item, Request, Template
from dynatrail.privacy.unknown_shapes import mask_data, mask_other
from dynatrail.sources.cloudtrail import contexts
from dynatrail.sources.cloudtrail.columns import ITEM_SHAPE, SHAPE, Memo
from dynatrail.sources.cloudtrail.records import NULL, Record, together

DYNAMODB = "dynamodb.amazonaws.com"
_NOTHING: tuple[str, str, None, None, None] = ("", "", None, None, None)


@dataclass(slots=True)
class Requests:
    """The requests of some records, column by column, as `columns.Rows` takes them.

    Attributes:
        tables: of each record, the tables that its request names.
        values: of records with an error message, each clear key text and its token.
    """

    shapes: list[int]
    texts: list[str | None]
    tables: list[tuple[str, ...]]
    items: list[tuple[int, int, str | None, int]] = field(default_factory=list)
    sparse: list[tuple[str, int, Any]] = field(default_factory=list)
    values: dict[int, Mapping[str, str]] = field(default_factory=dict)


class RequestShapes:
    """The shapes of a batch's requests and of the items that they name."""

    def __init__(self) -> None:
        self.shapes = Memo(SHAPE, _listed)
        self.item_shapes = Memo(ITEM_SHAPE, _listed)
        self._nothing = self.shapes.at(_NOTHING)
        self._templates: dict[int, tuple[Template, int]] = {}
        self._keyed: dict[tuple[int, int], int] = {}

    def take(self, found: Sequence[Record], data: Sequence[bool], masking: DataRequests) -> Requests:
        """The requests of `found`; `data` says which are data events of DynamoDB.

        Raises:
            msgspec.DecodeError, RecursionError, ValueError: one of them is not what CloudTrail writes.
        """
        count = len(found)
        requests = Requests([self._nothing] * count, [None] * count, [()] * count)
        raws = together([record.request_parameters for record in found])
        rows: list[int] = []
        templates: list[Template] = []
        keys: list[bytes] = []
        slow: list[int] = []
        split = masking.split
        for row, (record, raw, is_data) in enumerate(zip(found, raws, data, strict=True)):
            if raw == NULL:
                continue
            # Whatever an error message repeats of the key must be found there, so those go the long way.
            cut = split(record.event_name, raw) if is_data and record.error_message is None else None
            if cut is None:
                slow.append(row)
            else:
                rows.append(row)
                templates.append(cut[0])
                keys.append(cut[1])
        try:
            self._keyed_ones(requests, rows, templates, masking.fill(templates, keys))
        except msgspec.DecodeError:
            slow += rows
        for row in slow:
            self._one(requests, row, _masked(found[row], raws[row], masking, data=data[row]))
        return requests

    def _keyed_ones(
        self, requests: Requests, rows: Sequence[int], templates: Sequence[Template], masked: Sequence[Any]
    ) -> None:
        shapes, texts, tables, items = requests.shapes, requests.texts, requests.tables, requests.items
        known, keyed = self._templates.get, self._keyed.get
        for row, template, (text, token, attributes) in zip(rows, templates, masked, strict=True):
            place = known(id(template))
            shape = place[1] if place else self._shape(template)
            shapes[row], texts[row], tables[row] = shape, text, template.tables
            if template.operation is None:
                requests.sparse += (
                    ("key_condition_token", row, token),
                    ("key_condition_attributes", row, attributes),
                )
                continue
            at = (shape, id(attributes))  # there is one list of each set of attributes
            item_shape = keyed(at)
            if item_shape is None:
                item_shape = self._keyed[at] = self._item_shape(
                    Item(template.table, template.operation, token, attributes, *template[-2:])
                )
            items.append((row, item_shape, token, 0))

    def _shape(self, template: Template) -> int:
        key = (template.before, template.after, template.index_name, *_hashable(template[-2:]))
        # Kept with the template itself, so that no other one can come to have its id.
        shape = self.shapes.at((template.table, template.operation, *key))
        self._templates[id(template)] = template, shape
        return shape

    def _one(self, requests: Requests, row: int, request: Request) -> None:
        written = _hashable((request.attribute_names, request.update_expression))
        requests.shapes[row] = self.shapes.at(("", "", request.index_name, *written))
        requests.texts[row], requests.tables[row] = request.parameters, request.tables
        if request.statement is not None:
            requests.sparse.append(("statement", row, request.statement))
        if request.condition_token is not None:
            requests.sparse.append(("key_condition_token", row, request.condition_token))
            requests.sparse.append(("key_condition_attributes", row, request.condition_attributes))
        if request.values:
            requests.values[row] = request.values
        for ordinal, item in enumerate(request.items):
            requests.items.append((row, self._item_shape(item), item.token, ordinal))

    def _item_shape(self, item: Item) -> int:
        table = contexts.table_name(item.table) if item.table else None
        shape = (table, item.operation, item.key_attributes, item.attribute_names, item.update_expression)
        return self.item_shapes.at(_hashable(shape))


def _masked(record: Record, raw: bytes, masking: DataRequests, *, data: bool) -> Request:
    if not data:
        tables = contexts.tables_configured(raw) if record.event_source == DYNAMODB else ()
        return Request(mask_other(masking, raw), tables)
    try:
        return masking.mask(record.event_name, raw)
    except msgspec.ValidationError:
        return mask_data(masking, record.event_name, raw)


def _hashable(values: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(tuple(value) if isinstance(value, list) else value for value in values)


def _listed(key: tuple[Any, ...]) -> tuple[Any, ...]:
    """The columns that a shape's key holds; before a template's stand its table and operation."""
    return key[-len(SHAPE) :]
