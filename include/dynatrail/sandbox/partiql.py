"""How CloudTrail writes PartiQL statements: key literals of a WHERE clause in clear, every other literal redacted.

From the docs page "Understanding DynamoDB log file entries": in `SELECT … WHERE Artist = 'x' AND nonKeyAttr = 'y'` only
the second literal becomes `***(Redacted)`; in `INSERT … VALUE {…}` all of them do, keys included.
"""

import re
from collections.abc import Callable, Collection, Iterator
from itertools import pairwise

REDACTED = "***(Redacted)"

_TOKEN = re.compile(
    r"(?P<string>'(?:[^']|'')*')"
    r"|(?P<quoted>\"(?:[^\"]|\"\")*\")"
    r"|(?P<number>(?<![\w.])-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)"
    r"|(?P<word>[A-Za-z_]\w*)"
    r"|(?P<space>\s+)"
    r"|(?P<other>.)",
    re.DOTALL,
)
_CONSTANTS = frozenset({"TRUE", "FALSE", "NULL"})
_KEYWORDS = frozenset(
    {
        *(
            "SELECT",
            "FROM",
            "WHERE",
            "AND",
            "OR",
            "NOT",
            "IN",
            "IS",
            "BETWEEN",
            "MISSING",
            "ORDER",
            "BY",
            "ASC",
            "DESC",
        ),
        *("DESC", "SET", "REMOVE", "RETURNING"),
    }
)

KeyNames = Callable[[str], Collection[str]]
"""Names of a table's key attributes."""


def table_of(statement: str) -> str | None:
    """Table that the statement works on: what follows FROM, INTO or UPDATE."""
    tokens = [token for token in _tokens(statement) if token[0] != "space"]
    for (kind, text), (_, following) in pairwise(tokens):
        if kind == "word" and text.upper() in {"FROM", "INTO", "UPDATE"}:
            return _bare(following)
    return None


def redact(statement: str, key_names: KeyNames) -> str:
    """The statement as CloudTrail shows it."""
    keys = set(key_names(table_of(statement) or ""))
    verb = next((text.upper() for kind, text in _tokens(statement) if kind == "word"), "")
    shown = _insert(statement) if verb == "INSERT" else _others(statement, keys)
    return "".join(shown)


def _insert(statement: str) -> Iterator[str]:
    tokens = list(_tokens(statement))
    for index, (kind, text) in enumerate(tokens):
        following = next((later for later in tokens[index + 1 :] if later[0] != "space"), ("", ""))
        names_attribute = kind == "string" and following[1] == ":"
        yield REDACTED if _is_literal(kind, text) and not names_attribute else text


def _others(statement: str, keys: set[str]) -> Iterator[str]:
    in_where, attribute, between, after_is = False, "", False, False
    for kind, text in _tokens(statement):
        word = text.upper() if kind == "word" else ""
        if word == "WHERE":
            in_where = True
        elif word == "BETWEEN":
            between = True
        elif word in {"AND", "OR"}:
            attribute, between = (attribute, False) if between else ("", False)
        elif _is_literal(kind, text) and not after_is:
            yield text if in_where and attribute in keys else REDACTED
            continue
        elif kind == "quoted" or (kind == "word" and word not in _KEYWORDS):
            attribute = _bare(text)
        if kind != "space":
            after_is = word in {"IS", "NOT"} and (word == "IS" or after_is)
        yield text


def _is_literal(kind: str, text: str) -> bool:
    return kind in {"string", "number"} or (kind == "word" and text.upper() in _CONSTANTS)


def _bare(text: str) -> str:
    return text[1:-1].replace('""', '"') if text.startswith('"') else text


def _tokens(statement: str) -> Iterator[tuple[str, str]]:
    for match in _TOKEN.finditer(statement):
        yield match.lastgroup or "", match.group()
