"""The requests of a file's records: what repeats is taken once, and only keys are masked one by one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from dynatrail.privacy.requests import DataRequests, Item, Request
from dynatrail.privacy.templates import MaskedKeys, Template, Templates
from dynatrail.privacy.unknown_shapes import mask_data, mask_other
from dynatrail.sources.cloudtrail import contexts
from dynatrail.sources.cloudtrail.columns import ITEM_SHAPE, SHAPE, Memo
from dynatrail.sources.cloudtrail.records import NULL, Fields, together

DYNAMODB = "dynamodb.amazonaws.com"
_SEEN_BYTES, _SEEN_LIMIT = 1_000, 10_000  # of a request that is kept, and how many are
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
    """The shapes of a batch's requests, which `masking` masks, and of the items that they name."""

    def __init__(self, masking: DataRequests) -> None:
        self._masking = masking
        self._cut = Templates(masking)
        self.shapes = Memo(SHAPE, _listed)
        self.item_shapes = Memo(ITEM_SHAPE, _listed)
        self._nothing = self.shapes.at(_NOTHING)
        self._templates: dict[int, tuple[Template, int]] = {}
        self._keyed: dict[tuple[int, int, int], int] = {}
        self._seen: dict[tuple[bool, bool, str, bytes], Request] = {}

    def take(self, fields: Fields, data: Sequence[bool]) -> Requests:
        """The requests of records; `data` says which are data events of DynamoDB.

        Raises:
            msgspec.DecodeError, RecursionError, ValueError: one of them is not what CloudTrail writes.
        """
        count = len(data)
        requests = Requests([self._nothing] * count, [None] * count, [()] * count)
        raws = together(fields["request_parameters"])
        rows: list[int] = []
        templates: list[Template] = []
        keys: list[bytes] = []
        slow: list[int] = []
        split = self._cut.split
        asked = zip(range(count), fields["event_name"], raws, data, fields["error_message"], strict=True)
        for row, name, raw, is_data, message in asked:
            if raw == NULL:
                continue
            # Whatever an error message repeats of the key must be found there, so those go the long way.
            cut = split(name, raw) if is_data and message is None else None
            if cut is None:
                slow.append(row)
            else:
                rows.append(row)
                templates.append(cut[0])
                keys += cut[1]
        try:
            masked = self._cut.fill([slot for template in templates for slot in template.slots], keys)
        except msgspec.DecodeError:
            slow += rows
        else:
            self._keyed_ones(requests, rows, templates, masked)
        for row in slow:
            asked_for = (fields["event_source"][row], fields["event_name"][row], raws[row])
            self._one(requests, row, self._masked(*asked_for, data=data[row]))
        return requests

    def _keyed_ones(
        self, requests: Requests, rows: Sequence[int], templates: Sequence[Template], masked: MaskedKeys
    ) -> None:
        shapes, texts, tables, items = requests.shapes, requests.texts, requests.tables, requests.items
        known, keyed = self._templates.get, self._keyed.get
        keys = zip(*masked, strict=True)
        for row, template in zip(rows, templates, strict=True):
            place = known(id(template))
            shapes[row] = shape = place[1] if place else self._shape(template)
            tables[row] = template.tables
            for ordinal, slot in enumerate(template.slots):
                text, token, attributes = next(keys)
                texts[row] = f"{texts[row]}{template.parts[ordinal]}{text}" if ordinal else text
                if slot.operation is None:
                    requests.sparse += (
                        ("key_condition_token", row, token),
                        ("key_condition_attributes", row, attributes),
                    )
                    continue
                at = (shape, ordinal, id(attributes))  # there is one list of each set of attributes
                item_shape = keyed(at)
                if item_shape is None:
                    item = Item(slot.table, slot.operation, token, attributes, *slot[3:])
                    item_shape = self._keyed[at] = self._item_shape(item)
                items.append((row, item_shape, token, ordinal))

    def _shape(self, template: Template) -> int:
        written = _hashable(template[-2:])
        # Kept with the template itself, so that no other one can come to have its id.
        shape = self.shapes.at((id(template), template.parts[0], template.parts[-1], template.index_name, *written))
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

    def _masked(self, source: str, name: str, raw: bytes, *, data: bool) -> Request:
        """What is asked for again and again without a key, such as a Scan or a role, is masked once."""
        key = (data or source == DYNAMODB, data, name if data else "", raw)
        request = self._seen.get(key)
        if request is None:
            request = _masked(source, name, raw, self._masking, data=data)
            if not (request.items or request.values or len(raw) > _SEEN_BYTES or len(self._seen) > _SEEN_LIMIT):
                self._seen[key] = request
        return request

    def _item_shape(self, item: Item) -> int:
        table = contexts.table_name(item.table) if item.table else None
        shape = (table, item.operation, item.key_attributes, item.attribute_names, item.update_expression)
        return self.item_shapes.at(_hashable(shape))


def _masked(source: str, name: str, raw: bytes, masking: DataRequests, *, data: bool) -> Request:
    if not data:
        return Request(mask_other(masking, raw), contexts.tables_configured(raw) if source == DYNAMODB else ())
    try:
        return masking.mask(name, raw)
    except msgspec.ValidationError:
        return mask_data(masking, name, raw)


def _hashable(values: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(tuple(value) if isinstance(value, list) else value for value in values)


def _listed(key: tuple[Any, ...]) -> tuple[Any, ...]:
    """The columns that a shape's key holds; before a template's stands its id."""
    return key[-len(SHAPE) :]
