"""Filter patterns of CloudWatch Logs ("Filter pattern syntax for metric filters, … filter log events, and Live Tail").

Three forms: terms (`ERROR "two words" -debug`, all of them; `?ERROR ?WARN`, any of them), a regular expression in
percent signs, and `{ $.field = "value" && … }` on messages that are JSON. Matching is case-sensitive.
"""

import json
import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

from dynatrail.errors import SandboxError

Matcher = Callable[[str], bool]
_Condition = Callable[[Any], bool]

_TERM = re.compile(r'(?P<sign>[?-]?)(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|%(?P<regex>[^%]+)%|(?P<plain>[^\s"]+))')
_TOKEN = re.compile(
    r'\s*(?:(?P<mark>&&|\|\||[()]|!=|<=|>=|=|<|>)|(?P<path>\$(?:\.[\w@-]+|\[\d+\]|\."[^"]+")*)'
    r'|"(?P<text>(?:[^"\\]|\\.)*)"|%(?P<regex>[^%]+)%|(?P<word>[^\s()&|=!<>"]+))'
)
_STEP = re.compile(r'\.(?P<name>[\w@-]+)|\[(?P<place>\d+)\]|\."(?P<quoted>[^"]+)"')
_MISSING = object()


class PatternError(SandboxError):
    """The pattern is none, or of a form that the sandbox does not know (`[a, b, …]`)."""


def compile_pattern(pattern: str) -> Matcher:
    """What tells whether a message matches.

    Raises:
        PatternError: the pattern is not understood.
    """
    pattern = pattern.strip()
    if not pattern:
        return lambda _message: True
    if pattern.startswith("["):
        raise PatternError("Patterns for space-delimited messages ([a, b, …]) are not simulated. Use terms or { $.… }.")
    return _json_matcher(pattern) if pattern.startswith("{") else _terms(pattern)


def _terms(pattern: str) -> Matcher:
    found: dict[str, list[_Condition]] = {"": [], "?": [], "-": []}
    for match in _TERM.finditer(pattern):
        found[match["sign"]].append(_contains(match["quoted"] or match["plain"] or "", match["regex"]))
    needed, either, barred = found[""], found["?"], found["-"]
    if needed:
        either = []  # beside a term that must be there, AWS ignores those that may
    if not (needed or either or barred):
        raise PatternError(f"The filter pattern {pattern!r} holds no term.")

    def matches(message: str) -> bool:
        return (
            all(term(message) for term in needed)
            and (not either or any(term(message) for term in either))
            and not any(term(message) for term in barred)
        )

    return matches


def _contains(text: str, regex: str | None) -> _Condition:
    if regex is not None:
        searched = re.compile(regex)
        return lambda message: searched.search(message) is not None
    wanted = re.sub(r"\\(.)", r"\1", text)
    return lambda message: wanted in message


def _json_matcher(pattern: str) -> Matcher:
    if not pattern.endswith("}"):
        raise PatternError(f"The filter pattern {pattern!r} has no closing brace.")
    condition = _Parser(pattern[1:-1]).parse()

    def matches(message: str) -> bool:
        try:
            document = json.loads(message)
        except ValueError:
            return False
        return isinstance(document, dict) and condition(document)

    return matches


class _Parser:
    """`or` of `and` of comparisons; parentheses group."""

    def __init__(self, text: str) -> None:
        self._tokens = []
        place = 0
        while text[place:].strip():
            match = _TOKEN.match(text, place)
            if match is None:
                raise PatternError(f"The filter pattern is not understood at {text[place:]!r}.")
            self._tokens.append((str(match.lastgroup), str(match[str(match.lastgroup)])))
            place = match.end()
        self._tokens.append(("end", ""))
        self._at = 0

    def parse(self) -> _Condition:
        found = self._either()
        if self._next()[0] != "end":
            raise PatternError("The filter pattern goes on after its end; is a parenthesis or && missing?")
        return found

    def _next(self) -> tuple[str, str]:
        token = self._tokens[min(self._at, len(self._tokens) - 1)]
        self._at += 1
        return token

    def _skip(self, mark: str) -> bool:
        if self._tokens[min(self._at, len(self._tokens) - 1)] != ("mark", mark):
            return False
        self._at += 1
        return True

    def _either(self) -> _Condition:
        parts = [self._all()]
        while self._skip("||"):
            parts.append(self._all())
        return lambda document: any(part(document) for part in parts)

    def _all(self) -> _Condition:
        parts = [self._one()]
        while self._skip("&&"):
            parts.append(self._one())
        return lambda document: all(part(document) for part in parts)

    def _one(self) -> _Condition:
        if self._skip("("):
            inner = self._either()
            if not self._skip(")"):
                raise PatternError("A parenthesis of the filter pattern is not closed.")
            return inner
        kind, path = self._next()
        if kind != "path":
            raise PatternError(f"The filter pattern has {path!r} where $.field should stand.")
        sign, mark = self._next()
        if sign == "word":
            return self._named(path, mark.upper())
        if sign != "mark" or mark in {"(", ")", "&&", "||"}:
            raise PatternError(f"The filter pattern compares {path} with nothing.")
        compared = _comparison(mark, *self._next())
        return lambda document: compared(_at_path(document, path))

    def _named(self, path: str, word: str) -> _Condition:
        """`IS TRUE`, `IS FALSE`, `IS NULL`, `EXISTS` and `NOT EXISTS`."""
        if word in {"IS", "NOT"}:
            word = f"{word} {self._next()[1].upper()}"
        known: dict[str, _Condition] = {
            "IS TRUE": lambda value: value is True,
            "IS FALSE": lambda value: value is False,
            "IS NULL": lambda value: value is None,
            "EXISTS": lambda value: value is not _MISSING,
            "NOT EXISTS": lambda value: value is _MISSING,
        }
        if word not in known:
            raise PatternError(f"The filter pattern has {word!r}; known are {', '.join(known)}.")
        return lambda document: known[word](_at_path(document, path))


def _at_path(document: Any, path: str) -> Any:
    for step in _STEP.finditer(path):
        name = step["name"] or step["quoted"]
        if name is not None and isinstance(document, dict) and name in document:
            document = document[name]
        elif step["place"] is not None and isinstance(document, list) and int(step["place"]) < len(document):
            document = document[int(step["place"])]
        else:
            return _MISSING
    return document


def _comparison(mark: str, kind: str, wanted: str) -> _Condition:
    if kind == "regex":
        searched = re.compile(wanted)
        return lambda value: isinstance(value, str) and (searched.search(value) is not None) == (mark == "=")
    if kind not in {"text", "word"}:
        raise PatternError("The filter pattern compares a field with nothing.")
    number = _number(wanted) if kind == "word" else None
    if mark in {"=", "!="}:
        return lambda value: value is not _MISSING and _equal(value, wanted, number) == (mark == "=")
    if number is None:
        raise PatternError(f"The filter pattern compares with {wanted!r} by {mark}, which takes numbers only.")

    def compared(value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return {"<": value < number, "<=": value <= number, ">": value > number, ">=": value >= number}[mark]

    return compared


def _equal(value: Any, wanted: str, number: float | None) -> bool:
    if isinstance(value, bool):
        return str(value).lower() == wanted.lower()
    if isinstance(value, int | float):
        return number is not None and value == number
    return isinstance(value, str) and fnmatchcase(value, wanted.replace("[", "[[]").replace("?", "[?]"))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
