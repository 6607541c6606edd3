"""What DynamoDB expressions say about attributes, without their values.

Grammar: "Update expressions" and "Expression attribute names" in the DynamoDB developer guide. Values can only enter as
`:placeholders`, whose contents CloudTrail never records; a request that breaks the grammar is still recorded, so text
that looks like a literal is masked all the same.
"""

import re
from collections.abc import Mapping
from functools import lru_cache

_CLAUSE = re.compile(r"\b(SET|REMOVE|ADD|DELETE)\b", re.IGNORECASE)
_NAME = re.compile(r"#[\w]+")
_FIRST_SEGMENT = re.compile(r"\s*([^\s.\[=]+)")
_LITERAL = re.compile(r"""'[^']*'?|"[^"]*"?|`[^`]*`?|(?<![\w#:.\[])-?(?:\d|\.\d)[\w.+-]*""")
MASKED = "***"


@lru_cache(maxsize=8192)
def without_literals(expression: str) -> str:
    """`expression` with anything that is a quoted or bare literal, which valid expressions never hold, replaced."""
    return _LITERAL.sub(MASKED, expression)


def resolve(expression: str, names: Mapping[str, str]) -> str:
    """`expression` with its #placeholders replaced by the attribute names that the request gave for them."""
    return _NAME.sub(lambda found: names.get(found[0], found[0]), expression) if names else expression


def update_targets(expression: str, names: Mapping[str, str]) -> list[str]:
    """The top-level attributes that an update expression writes, sorted, each once."""
    targets: set[str] = set()
    parts = _CLAUSE.split(expression)
    for body in parts[2::2]:
        for action in _split(body):
            found = _FIRST_SEGMENT.match(action)
            if found:
                targets.add(names.get(found[1], found[1]))
    return sorted(targets)


def projection(expression: str, names: Mapping[str, str]) -> list[str]:
    """The top-level attributes that a projection expression reads, sorted, each once."""
    found = (_FIRST_SEGMENT.match(path) for path in expression.split(","))
    return sorted({names.get(match[1], match[1]) for match in found if match})


def _split(body: str) -> list[str]:
    """Split at the commas outside parentheses: `SET a = if_not_exists(b, :c), d = :e` has two actions."""
    actions, depth, start = [], 0, 0
    for at, char in enumerate(body):
        depth += (char == "(") - (char == ")")
        if char == "," and depth <= 0:
            actions.append(body[start:at])
            start = at + 1
    actions.append(body[start:])
    return actions
