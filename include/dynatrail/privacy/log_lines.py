"""Free text that an application wrote: log messages, and reasons that people give.

A message that is JSON, or holds a JSON object, is taken apart: names stay, `true`, `false` and `null` stay, a technical
field keeps its value where this has the form that such a field has, every other text and number becomes the token of
its value. Text is cut into words: what is quoted, what follows a `=`, e-mail addresses, numbers of three digits or more
(in groups too, as of a telephone or a date) and whatever is shaped like an id become tokens. So a log line joins with
the trail by the token of a key's value.

What stays visible: other words of prose, numbers of one or two digits, an instant with a time of day at the start of a
line, field names. A name in prose without quotes is a word like any other.
"""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from dynatrail.privacy.tokens import PREFIX, Tokenizer, canonical_number

_IDENTIFIER = r"[A-Za-z_$][A-Za-z_$]*\d{0,2}"
_INSTANT = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?"
_REQUEST_ID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9A-Z]{52}"
_DOTTED = rf"{_IDENTIFIER}(?:[.:/]{_IDENTIFIER}){{0,9}}"

TECHNICAL: dict[str, str] = {
    "level": r"[A-Za-z]{1,12}|[1-6]0?",
    "loglevel": r"[A-Za-z]{1,12}|[1-6]0?",
    "severity": r"[A-Za-z]{1,12}|\d{1,2}",
    "timestamp": rf"{_INSTANT}|1\d{{9}}(?:\.\d{{1,9}})?|1\d{{12}}",
    "time": rf"{_INSTANT}|1\d{{9}}(?:\.\d{{1,9}})?|1\d{{12}}",
    "requestid": _REQUEST_ID,
    "awsrequestid": _REQUEST_ID,
    "functionrequestid": _REQUEST_ID,
    "logger": _DOTTED,
    "loggername": _DOTTED,
    "eventname": rf"{_IDENTIFIER}(?:[.:_-]{_IDENTIFIER}){{0,5}}",
    "eventtype": rf"{_IDENTIFIER}(?:[.:_-]{_IDENTIFIER}){{0,5}}",
    "errortype": _DOTTED,
    "operation": r"[A-Z][A-Za-z]{2,40}",
    "statuscode": r"[1-5]\d\d",
}
"""Field (in lower case, without `_`, `-`, `@`) -> the form in which its value stays visible."""

_TECHNICAL: dict[str, Callable[[str], Any]] = {name: re.compile(form).fullmatch for name, form in TECHNICAL.items()}
_FIELD = re.compile(r"[A-Za-z_@$][A-Za-z_@$.:-]{0,63}(?:\d{1,2})?")
_LONGEST_JSON_DEPTH = 60

# A quote opens where no letter precedes it (or Python's b, u, r, f or SQL's N alone), and closes where no letter
# follows it and no backslash precedes it; one that never closes hides the rest.
_OPENING, _CLOSING = "\u201c\u201e\u00ab\u2018", "\u201d\u201c\u00bb\u2019"  # of typeset text
_PIECES = re.compile(
    rf"(?P<instant>^{_INSTANT})"
    r"""|(?<!\w)(?P<prefix>[bBuUrRfFN]?)(?P<quote>["'`])(?P<quoted>(?:\\(?:.|\Z)|[^\\])*?)(?:(?P=quote)(?!\w)|\Z)"""
    r"|(?<![\w.])(?P<groups>\+?\d{1,2}(?:[ \u00a0]\d\d){3,})(?!\w)"
    rf"|[{_OPENING}](?P<typeset>.*?)(?:[{_CLOSING}]|\Z)"
    rf"""|(?P<word>[^\s()\[\]{{}}<>,;|"'`{_OPENING}{_CLOSING}]+)""",
    re.DOTALL | re.MULTILINE,
)
_TOKEN = re.compile(PREFIX + "[0-9a-f]{32}")
_TRAILING = ".:!?"
_LONG_NUMBER = re.compile(r"\d{3}|\d[\d.,/-]{2,}\d")
_NUMBER = re.compile(r"[+-]?\d[\d.,]*(?:[eE][+-]?\d+)?")
_MIXED = 5  # characters from which letters and digits in one word are an id
_OPAQUE = 24  # letters in a row from which a word is no word
_decode = msgspec.json.Decoder(float_hook=str).decode
_encode = msgspec.json.Encoder(order="sorted").encode


def mask_line(message: str, tokens: Tokenizer) -> str:
    """A log message with no value in clear; the module says what stays. Masking it again changes nothing."""
    start, end = message.find("{"), message.rfind("}")
    stripped = message.strip()
    if stripped[:1] in {"{", "[", '"'} and (whole := _json(stripped, tokens)) is not None:
        return whole
    if 0 <= start < end and (inner := _json(message[start : end + 1], tokens)) is not None:
        return mask_text(message[:start], tokens) + inner + mask_text(message[end + 1 :], tokens)
    return mask_text(message, tokens)


def mask_text(text: str, tokens: Tokenizer) -> str:
    """Prose without what could be a value."""
    return _PIECES.sub(lambda found: _piece(found, tokens), text)


def mask_json(value: Any, tokens: Tokenizer, depth: int = 0) -> Any:
    """A decoded JSON value of which names stay, and values of technical fields that have their form."""
    if value is None or isinstance(value, bool):
        return value
    if depth > _LONGEST_JSON_DEPTH:
        return tokens.value(str(value))
    if isinstance(value, dict):
        return {mask_name(name, tokens): _member(name, inner, tokens, depth) for name, inner in value.items()}
    if isinstance(value, list):
        return [mask_json(inner, tokens, depth + 1) for inner in value]
    return _token(str(value), tokens)


def _member(name: str, value: Any, tokens: Tokenizer, depth: int) -> Any:
    form = _TECHNICAL.get(re.sub(r"[_@-]", "", name).lower())
    if form is not None and isinstance(value, str | int | float) and not isinstance(value, bool) and form(str(value)):
        return value
    return mask_json(value, tokens, depth + 1)


def mask_name(name: str, tokens: Tokenizer) -> str:
    """The name of a field; a map may be keyed by ids: such a name is a value."""
    return name if _FIELD.fullmatch(name) and not _is_id(name) else _token(name, tokens)


def _json(text: str, tokens: Tokenizer) -> str | None:
    try:
        return _encode(mask_json(_decode(text), tokens)).decode()
    except (msgspec.DecodeError, RecursionError):
        return None


def _piece(found: re.Match[str], tokens: Tokenizer) -> str:
    if found["instant"] is not None:
        return found["instant"]
    if found["quote"] is not None:
        mark = found["quote"]
        return f"{found['prefix']}{mark}{_token(found['quoted'], tokens)}{mark}" if found["quoted"] else found[0]
    if found["typeset"] is not None:
        return f'"{_token(found["typeset"], tokens)}"' if found["typeset"] else found[0]
    if found["groups"] is not None:
        return _token(found["groups"], tokens)
    return _word(found["word"], tokens)


def _word(word: str, tokens: Tokenizer) -> str:
    bare = word.rstrip(_TRAILING)
    tail = word[len(bare) :]
    name, equals, value = bare.partition("=")
    if equals and value and not _is_id(name):
        kept = _TECHNICAL.get(re.sub(r"[_@-]", "", name).lower())
        shown = value if kept is not None and kept(value) else _token(value, tokens)
        return f"{name}={shown}{tail}"
    return f"{_token(bare, tokens)}{tail}" if _is_id(bare) else word


def _is_id(word: str) -> bool:
    if _TOKEN.fullmatch(word):
        return False
    if "@" in word[1:] or "://" in word or _LONG_NUMBER.search(word):
        return True
    letters = sum(character.isalpha() for character in word)
    if letters and len(word) >= _MIXED and any(character.isdigit() for character in word):
        return True
    return len(word) >= _OPAQUE and word.isalnum()


def _token(text: str, tokens: Tokenizer) -> str:
    if _TOKEN.fullmatch(text):
        return text
    return tokens.value(canonical_number(text) if _NUMBER.fullmatch(text) else text)
