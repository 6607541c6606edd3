"""PartiQL statements as CloudTrail records them: what they do to which table, with every literal masked.

CloudTrail replaces literals of non-key attributes by `***(Redacted)` and leaves key literals in clear ("Understanding
DynamoDB log file entries"; an INSERT's VALUE is redacted whole). So `attribute = literal` in clear names a key
attribute, and UPDATE and DELETE, which DynamoDB only takes with the full key, name one item.
"""

import re
from dataclasses import dataclass

from dynatrail.privacy.tokens import Tokenizer

_LITERAL = re.compile(
    r"""(?P<redacted>\*\*\*\(Redacted\))"""
    r"""|(?P<quoted>"(?:[^"]|"")*")"""  # an identifier
    r"""|(?P<string>'(?:[^']|'')*(?:'|$))"""
    r"""|(?P<number>(?<![\w.])-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)"""
)
_EQUALS = re.compile(
    r"""(?P<name>"(?:[^"]|"")+"|[A-Za-z_][\w.\-]*)\s*=\s*(?P<literal>'(?:[^']|'')*'|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![\w.])"""
)
_TARGET = re.compile(
    r"""^\s*(?:(?:EXISTS\s*\(\s*)?SELECT\b.*?\bFROM|INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+"""
    r"""(?P<table>"[^"]+"|[\w.\-:/]+?)(?:\s*\.\s*(?P<index>"[^"]+"|[\w.\-]+))?(?=\s|$|\)|;)""",
    re.IGNORECASE | re.DOTALL,
)
_VERB = re.compile(r"^\s*(?:(EXISTS)\s*\(\s*)?(SELECT|INSERT|UPDATE|DELETE)\b", re.IGNORECASE)
_WHERE = re.compile(r"\bWHERE\b", re.IGNORECASE)
_SET_TARGET = re.compile(r"""\b(?:SET|REMOVE)\s+("[^"]+"|[\w]+)""", re.IGNORECASE)
_INSERT_NAME = re.compile(r"""'((?:[^']|'')+)'\s*:""")
_OPERATION = {"INSERT": "Put", "UPDATE": "Update", "DELETE": "Delete", "SELECT": "Select"}


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement.

    Attributes:
        text: the statement, every literal masked.
        operation: Put, Update, Delete, Select, ConditionCheck (EXISTS), or None where the text is not understood.
        table: table name or ARN as written, without quotes.
        index: secondary index named.
        key: (attribute, text) pairs that equality conditions in clear bind, sorted by attribute.
        attribute_names: attributes written, sorted; empty for reads.
    """

    text: str
    operation: str | None
    table: str | None
    index: str | None
    key: tuple[tuple[str, str], ...]
    attribute_names: tuple[str, ...]


def read(statement: str, tokens: Tokenizer) -> Statement:
    """Take one statement apart and mask it."""
    verb = _VERB.match(statement)
    target = _TARGET.match(statement)
    head, where = _parts(statement)
    operation = None
    if verb:
        operation = "ConditionCheck" if verb[1] else _OPERATION[verb[2].upper()]
    inserts = operation == "Put"
    names = _INSERT_NAME.findall(head) if inserts else _SET_TARGET.findall(head)
    return Statement(
        text=_masked_insert(statement, tokens) if inserts else _masked(statement, tokens),
        operation=operation,
        table=_bare(target["table"]) if target else None,
        index=_bare(target["index"]) if target and target["index"] else None,
        key=tuple(sorted((_bare(m["name"]), _unquoted(m["literal"])) for m in _EQUALS.finditer(where))),
        attribute_names=tuple(sorted({_bare(name).split(".")[0] for name in names})),
    )


def _parts(statement: str) -> tuple[str, str]:
    found = _WHERE.search(statement)
    return (statement[: found.start()], statement[found.end() :]) if found else (statement, "")


def _masked(text: str, tokens: Tokenizer) -> str:
    def token(found: re.Match[str]) -> str:
        if found["redacted"] or found["quoted"]:
            return found[0]
        return f"'{tokens.value(_unquoted(found[0]))}'"

    return _LITERAL.sub(token, text)


def _masked_insert(text: str, tokens: Tokenizer) -> str:
    """As `_masked`, but the quoted attribute names of `VALUE {'name': …}` stay."""
    pieces, at = [], 0
    for name in _INSERT_NAME.finditer(text):
        pieces += [_masked(text[at : name.start()], tokens), name[0]]
        at = name.end()
    return "".join([*pieces, _masked(text[at:], tokens)])


def _bare(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def _unquoted(literal: str) -> str:
    if not literal.startswith("'"):
        return literal
    return literal[1 : -1 if len(literal) > 1 and literal.endswith("'") else None].replace("''", "'")
