"""PartiQL statements as CloudTrail records them: what they do to which table, with every literal masked.

CloudTrail replaces literals of non-key attributes by `***(Redacted)` and leaves key literals in clear ("Understanding
DynamoDB log file entries"; an INSERT's VALUE is redacted whole). So `attribute = literal` in clear names a key
attribute, and UPDATE and DELETE, which DynamoDB only takes with the full key, name one item.

Statements that DynamoDB refused are recorded too, so text that is no valid PartiQL must not let a value through: the
statement is masked in one pass from left to right, and everything else is read from the masked text.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from dynatrail.privacy.tokens import Tokenizer

_PIECE = re.compile(
    r"""(?P<comment>--[^\n]*|/\*.*?(?:\*/|\Z))"""
    r"""|(?P<redacted>\*\*\*\(Redacted\))"""
    r"""|(?P<identifier>"(?:[^"]|"")*(?:"|\Z))"""
    r"""|(?P<string>'(?:[^']|'')*(?:'|\Z)|`[^`]*(?:`|\Z))"""
    r"""|(?P<where>\bWHERE\b)"""
    r"""|(?P<target>\b(?:FROM|INTO|UPDATE)\s+[\w.:/\-]+)"""
    r"""|(?P<operator>[=<>]\s*)(?P<word>[^\s'"`?*(),;\[\]{}<>=!]+)"""
    r"""|(?P<number>(?<![\w.])-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)""",
    re.IGNORECASE | re.DOTALL,
)
_NUMBER = re.compile(r"-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_WORDS = frozenset(("NULL", "MISSING", "TRUE", "FALSE"))
# What follows an identifier that names an attribute in a condition, and what comes before one that is an argument.
_COMPARED = re.compile(r"""(?:\.[\w"]+|\[\d+\])*\s*(?:[=<>!]|(?:IN|BETWEEN|IS|NOT)\b|ASC\b|DESC\b)""", re.IGNORECASE)
_ARGUMENT = re.compile(r"(?:(?<!\bIN)(?<=\w)\(|\.|\bBY)\s*$", re.IGNORECASE)
_BEFORE = 40  # characters before a piece that say what it is
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_EQUALS = re.compile(r"""(?P<name>"(?:[^"]|"")+"|[A-Za-z_][\w.\-]*)\s*=\s*'(?P<token>t1:[0-9a-f]{32})'""")
_TARGET = re.compile(
    r"""^\s*(?:(?:EXISTS\s*\(\s*)?SELECT\b.*?\bFROM|INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+"""
    r"""(?P<table>"[^"]+"|[\w.\-:/]+?)(?:\s*\.\s*(?P<index>"[^"]+"|[\w.\-]+))?(?=\s|$|\)|;)""",
    re.IGNORECASE | re.DOTALL,
)
_VERB = re.compile(r"^\s*(?:(EXISTS)\s*\(\s*)?(SELECT|INSERT|UPDATE|DELETE)\b", re.IGNORECASE)
_WHERE = re.compile(r"\bWHERE\b", re.IGNORECASE)
_ALTERNATIVES = re.compile(r"\b(?:OR|NOT)\b", re.IGNORECASE)
_SET_TARGET = re.compile(r"""\b(?:SET|REMOVE)\s+("[^"]+"|[\w]+)""", re.IGNORECASE)
_INSERT_NAME = re.compile(r"""[{,]\s*(?:'((?:[^']|'')+)'|"((?:[^"]|"")+)")\s*:""")
_NAMED = re.compile(r"\s*:")
_OPERATION = {"INSERT": "Put", "UPDATE": "Update", "DELETE": "Delete", "SELECT": "Select"}


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement.

    Attributes:
        text: the statement, every literal masked and every comment emptied.
        operation: Put, Update, Delete, Select, ConditionCheck (EXISTS), or None where the text is not understood.
        table: table name or ARN as written, without quotes.
        index: secondary index named.
        key: (attribute, text) pairs that equality conditions in clear bind, sorted by attribute; none where the
            conditions are alternatives (OR, NOT), for then they bind nothing.
        attribute_names: attributes written, sorted; empty for reads.
        clear: each literal that was found in clear, and its token.
    """

    text: str
    operation: str | None
    table: str | None
    index: str | None
    key: tuple[tuple[str, str], ...]
    attribute_names: tuple[str, ...]
    clear: Mapping[str, str]


def read(statement: str, tokens: Tokenizer) -> Statement:
    """Take one statement apart and mask it."""
    masking = _Masking(statement, tokens)
    plain = _COMMENT.sub(" ", masking.text)
    verb = _VERB.match(plain)
    target = _TARGET.match(plain)
    head, where = _parts(plain)
    operation = None
    if verb:
        operation = "ConditionCheck" if verb[1] else _OPERATION[verb[2].upper()]
    if operation == "Put":
        names = [(quoted or double).replace("''", "'") for quoted, double in _INSERT_NAME.findall(head)]
    else:
        names = [_bare(name) for name in _SET_TARGET.findall(head)]
    bound = [] if _ALTERNATIVES.search(where) else _EQUALS.finditer(where)
    return Statement(
        text=masking.text,
        operation=operation,
        table=_bare(target["table"]) if target else None,
        index=_bare(target["index"]) if target and target["index"] else None,
        key=tuple(
            sorted((_bare(m["name"]), masking.literals[m["token"]]) for m in bound if m["token"] in masking.literals)
        ),
        attribute_names=tuple(sorted({name.split(".")[0] for name in names})),
        clear=masking.clear,
    )


class _Masking:
    """One pass over a statement: `text` is the masked statement.

    `clear` has the token of everything that was masked, `literals` the text of each token that stands for a literal.
    """

    def __init__(self, statement: str, tokens: Tokenizer) -> None:
        self._statement = statement
        self._tokens = tokens
        self._in_where = False
        self._inserts = bool(re.match(r"\s*INSERT\b", statement, re.IGNORECASE))
        self.clear: dict[str, str] = {}
        self.literals: dict[str, str] = {}
        self.text = _PIECE.sub(self._piece, statement)

    def _piece(self, found: re.Match[str]) -> str:
        kind, text = found.lastgroup, found[0]
        if kind == "comment":
            return "-- " if text.startswith("--") else "/* */"
        if kind == "where":
            self._in_where = True
        elif kind == "word":
            return found["operator"] + self._word(found)
        elif kind == "identifier":
            return text if self._names(found) and text.endswith('"') and len(text) > 1 else self._token(_bare(text))
        elif kind == "string":
            named = self._inserts and self._follows(found, "{,") and _NAMED.match(self._statement, found.end())
            return text if named else self._literal(_unquoted(text))
        elif kind == "number":
            return self._literal(text)
        return text

    def _word(self, found: re.Match[str]) -> str:
        """What an operator is followed by: a number, a keyword, a function, or in a condition an unquoted value."""
        word = found["word"]
        if _NUMBER.fullmatch(word):
            return self._literal(word)
        function = self._statement[found.end() : found.end() + 1] == "("
        if word.upper() in _WORDS or function or (not self._in_where and not any(map(str.isdigit, word))):
            return word
        return self._token(word)

    def _names(self, found: re.Match[str]) -> bool:
        """Whether a text in double quotes is a name, as it should be, and not a value in the wrong quotes."""
        if not self._in_where:
            return not self._follows(found, "=:")
        if _COMPARED.match(self._statement, found.end()):
            return True
        return bool(_ARGUMENT.search(self._before(found)))

    def _follows(self, found: re.Match[str], characters: str) -> bool:
        before = self._before(found).rstrip()
        return bool(before) and before[-1] in characters

    def _before(self, found: re.Match[str]) -> str:
        return self._statement[max(0, found.start() - _BEFORE) : found.start()]

    def _literal(self, text: str) -> str:
        self.literals[self._tokens.value(text)] = text
        return self._token(text)

    def _token(self, text: str) -> str:
        token = self.clear[text] = self._tokens.value(text)
        return f"'{token}'"


def _parts(statement: str) -> tuple[str, str]:
    found = _WHERE.search(statement)
    return (statement[: found.start()], statement[found.end() :]) if found else (statement, "")


def _bare(name: str) -> str:
    if not name.startswith('"'):
        return name
    return name[1 : -1 if len(name) > 1 and name.endswith('"') else None].replace('""', '"')


def _unquoted(literal: str) -> str:
    quote = literal[0]
    inner = literal[1 : -1 if len(literal) > 1 and literal.endswith(quote) else None]
    return inner.replace("''", "'") if quote == "'" else inner
