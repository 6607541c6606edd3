"""Requests that differ from others in nothing but their keys, as most do: masked once, and their keys in bulk."""

from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

import msgspec

from dynatrail.privacy.requests import DataRequests
from dynatrail.privacy.tokens import ITEM, canonical_number

_string_keys = msgspec.json.Decoder(list[dict[str, str]]).decode
_encode = msgspec.json.Encoder().encode

_KEY_MARK = b'ey":{'  # CloudTrail mixes `key` and `Key` in one record
_BEFORE_MARK = (b'"k', b'"K')
_QUOTES = 4  # of a member whose value is a string
_HOLE = '"key":{}'
_TEMPLATE_LIMIT = 10_000


class Slot(NamedTuple):
    """Where a template takes a key, and the item that the key names.

    Attributes:
        operation: None where the key bounds a Query.
        numbers: key attributes that are known to be numbers.
    """

    table: str | None
    operation: str | None
    numbers: frozenset[str]
    attribute_names: list[str] | None
    update_expression: str | None


class Template(NamedTuple):
    """What requests share that differ only in the values of their keys.

    Attributes:
        parts: the masked JSON around the keys, one more than there are slots.
    """

    parts: tuple[str, ...]
    slots: tuple[Slot, ...]
    tables: tuple[str, ...]
    index_name: str | None
    attribute_names: list[str] | None
    update_expression: str | None


class MaskedKeys(NamedTuple):
    """Of each key its masked JSON, the token of the item that it names, and its attributes, sorted."""

    texts: list[str]
    tokens: list[str]
    attributes: list[list[str]]


class _Form(NamedTuple):
    """What keys of the same attributes in the same order share.

    Attributes:
        text: their masked JSON, a format for the tokens of their values.
        canonical: their canonical form, a format for their values; None where the attributes are not sorted.
    """

    text: str
    canonical: str | None
    attributes: list[str]


class Templates:
    """The templates of the requests that `requests` masks."""

    def __init__(self, requests: DataRequests) -> None:
        self._requests = requests
        self._templates: dict[tuple[str | bytes, ...], Template | None] = {}
        self._forms: dict[tuple[str, ...], _Form] = {}

    def split(self, event_name: str, raw: bytes) -> tuple[Template, list[bytes]] | None:
        """Cut a request that differs from others in nothing but its keys, as most do, into the two.

        None where it is no such request, or a key holds an escape or anything but strings: take `DataRequests.mask`.
        What follows a mark is a key object whole, as all of its strings end before the brace. The keys come without
        their braces.
        """
        head, *rest = raw.split(_KEY_MARK)
        if not rest:
            return None
        around, keys = [head], []
        for piece in rest:
            key, brace, after = piece.partition(b"}")
            if not brace or b"\\" in key or key.count(b'"') % _QUOTES:
                return None
            keys.append(key)
            around.append(after)
        place: tuple[str | bytes, ...] = (event_name, *around)
        try:
            template = self._templates[place]
        except KeyError:
            if len(self._templates) >= _TEMPLATE_LIMIT:
                self._templates.clear()
            template = self._templates[place] = self._template(event_name, around)
        return None if template is None else (template, keys)

    def fill(self, slots: Sequence[Slot], keys: Sequence[bytes]) -> MaskedKeys:
        """Mask the keys that `split` gave, all in one go.

        Raises:
            msgspec.DecodeError: one of them is no object of strings; take `DataRequests.mask` for all.
        """
        if not keys:
            return MaskedKeys([], [], [])
        forms: list[_Form] = []
        values: list[str] = []
        messages: list[bytes] = []
        known = self._forms.get
        for slot, key in zip(slots, _string_keys(b"[{" + b"},{".join(keys) + b"}]"), strict=True):
            if slot.numbers:
                for name in slot.numbers & key.keys():
                    key[name] = canonical_number(key[name])
            names, texts = tuple(key), tuple(key.values())
            form = known(names)
            if form is None:
                form = self._forms[names] = _form(names)
            forms.append(form)
            values += texts
            canonical = (form.canonical % texts).encode() if form.canonical else _encode(sorted(key.items()))
            messages.append(ITEM + canonical)
        tokens = iter(self._requests.tokens.values(values))
        return MaskedKeys(
            [form.text % tuple(islice(tokens, len(form.attributes))) for form in forms],
            self._requests.tokens.items(messages),
            [form.attributes for form in forms],
        )

    def _template(self, event_name: str, around: Sequence[bytes]) -> Template | None:
        """What all requests share that are `around` some keys; None where these are not those of the items it names.

        That is so where the same request with empty keys names as many items, all by empty keys, as were cut out.
        """
        if not all(piece.endswith(_BEFORE_MARK) for piece in around[:-1]):
            return None
        try:
            request = self._requests.mask(event_name, (_KEY_MARK + b"}").join(around))
        except msgspec.DecodeError:
            return None
        table = request.tables[0] if request.tables else None
        written = (request.attribute_names, request.update_expression)
        slots = [
            Slot(item.table, item.operation, self._requests.numbers(item.table), *item[4:]) for item in request.items
        ]
        attributes = [item.key_attributes for item in request.items]
        if request.condition_token is not None:
            slots.append(Slot(table, None, self._requests.numbers(table), *written))
            attributes.append(request.condition_attributes)
        parts = (request.parameters or "").split(_HOLE)
        if request.statement is not None or len(parts) != len(around) or attributes != [[]] * (len(around) - 1):
            return None
        before = (f'{part}"key":' for part in parts[:-1])
        return Template((*before, parts[-1]), tuple(slots), request.tables, request.index_name, *written)


def _form(names: tuple[str, ...]) -> _Form:
    """The formats of keys with these attributes; tokens need no escape, nor do values that had none as JSON."""
    quoted = [_encode(name).decode().replace("%", "%%") for name in names]
    text = ",".join(f'{name}:"%s"' for name in quoted)
    attributes = sorted(names)
    pairs = ",".join(f'[{name},"%s"]' for name in quoted)
    return _Form(f"{{{text}}}", f"[{pairs}]" if attributes == list(names) else None, attributes)
