"""Wildcards and variables of policies, matched as IAM does; what a variable stands for may be unknown.

`*` is any run of characters, `?` any single one, colons and slashes included ("IAM JSON policy elements: Resource": a
`*` at the end of a segment goes beyond its colon). There is no escape but the variables `${*}`, `${?}` and `${$}` ("IAM
policy elements: Variables and tags"). Variables exist since version 2012-10-17; before, they are plain text.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

Answer = bool | None
"""Yes, no, or cannot be told."""

Values = tuple[str, ...] | None
"""What a request holds under a key: values, none (it lacks the key), or None: not known."""

ABSENT: Values = ()

Known = Callable[[str], Values]
"""What a request holds under a key in lower case."""

_VARIABLE = re.compile(r"\$\{([^{}]*)\}")
_NAMED = re.compile(r"\s*([^,\s]+)\s*(?:,\s*'([^']*)'\s*)?")
_LITERAL = frozenset("*?$")
_WILD = re.compile(r"(\*+|\?)")


class Wild(Enum):
    """What is no text in a pattern."""

    RUN = "*"
    ONE = "?"


Tokens = tuple[str | Wild, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """`${key}` or `${key, 'default'}`; the key in lower case, as keys are not case-sensitive."""

    key: str
    default: str | None


def every(answers: Iterable[Answer]) -> Answer:
    """No if one is no, else cannot be told if one cannot."""
    told: Answer = True
    for one in answers:
        if one is False:
            return False
        told = None if one is None else told
    return told


def some(answers: Iterable[Answer]) -> Answer:
    """Yes if one is yes, else cannot be told if one cannot."""
    told: Answer = False
    for one in answers:
        if one:
            return True
        told = None if one is None else told
    return told


def opposite(answer: Answer) -> Answer:
    return None if answer is None else not answer


def matches(pattern: str, text: str) -> bool:
    """Whether the whole text matches; in time that grows with the lengths, whatever the pattern."""
    return _glob(_wild(pattern), text)


def like(pattern: str, text: str, known: Known | None) -> Answer:
    """The same where the pattern may hold variables; `known` None: it holds none, as before version 2012-10-17."""
    if known is None or "${" not in pattern:
        return matches(pattern, text)
    return _filled(pattern, text, known, wildcards=True)


def equals(wanted: str, text: str, known: Known | None) -> Answer:
    """Whether the text is what a condition without wildcards wants."""
    if known is None or "${" not in wanted:
        return wanted == text
    return _filled(wanted, text, known, wildcards=False)


@lru_cache(maxsize=4096)
def parts(pattern: str) -> tuple[str | Variable, ...]:
    """The pattern cut at its variables; what is no well-formed variable stays text."""
    found: list[str | Variable] = []
    at = 0
    for match in _VARIABLE.finditer(pattern):
        if named := _NAMED.fullmatch(match[1]):
            found += [pattern[at : match.start()], Variable(named[1].lower(), named[2])]
            at = match.end()
    return (*found, pattern[at:])


def _filled(pattern: str, text: str, known: Known, *, wildcards: bool) -> Answer:
    tokens: list[str | Wild] = []
    unsure = False
    for part in parts(pattern):
        if isinstance(part, str):
            tokens += _wild(part) if wildcards else (part,)
        elif part.key in _LITERAL:
            tokens.append(part.key)
        elif (values := known(part.key)) is None or len(values) > 1:
            tokens.append(Wild.RUN)
            unsure = True
        elif values or part.default is not None:
            tokens.append(values[0] if values else str(part.default))
        else:
            return False
    matched = _glob(tuple(tokens), text)
    return None if matched and unsure else matched


@lru_cache(maxsize=16384)
def _wild(pattern: str) -> Tokens:
    return tuple(Wild.RUN if one[0] == "*" else Wild.ONE if one == "?" else one for one in _WILD.split(pattern) if one)


def _glob(tokens: Tokens, text: str) -> bool:
    pieces = _pieces(tokens)
    first, _ = pieces[0]
    if len(pieces) == 1:
        return first.fullmatch(text) is not None
    if not (begun := first.match(text)):
        return False
    last, length = pieces[-1]
    at, end = begun.end(), len(text) - length
    for piece, _ in pieces[1:-1]:
        if not (found := piece.search(text, at)):
            return False
        at = found.end()
    return at <= end and last.match(text, end) is not None


@lru_cache(maxsize=16384)
def _pieces(tokens: Tokens) -> tuple[tuple[re.Pattern[str], int], ...]:
    """What stands between the runs, and its length: each has one, so the leftmost place of each is best."""
    pieces: list[list[str | Wild]] = [[]]
    for token in tokens:
        if token is Wild.RUN:
            pieces.append([])
        else:
            pieces[-1].append(token)
    return tuple(
        (
            re.compile("".join("." if one is Wild.ONE else re.escape(str(one)) for one in piece), re.DOTALL),
            sum(1 if isinstance(one, Wild) else len(one) for one in piece),
        )
        for piece in pieces
    )
