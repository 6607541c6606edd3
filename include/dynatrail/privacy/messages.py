"""Free text that may quote what was asked for: error messages, and pieces of input that could not be read."""

import re
from collections.abc import Mapping

# From the first quote to the last: a value may hold quotes itself, and a message of 1 KB may be cut inside one. The
# apostrophe of "can't" is none.
_QUOTED = re.compile(r"""(?<![A-Za-z])['"`].*['"`](?![A-Za-z])|(?<![A-Za-z])['"`].*""", re.DOTALL)
_NUMBER = re.compile(r"(?<![\w.:/-])-?\d[\d.]{3,}(?:[eE][+-]?\d+)?(?![\w:])")
_LETTER = re.compile(r"[A-Za-z]")
_DIGIT = re.compile(r"\d")
_FOREIGN = re.compile(r"""[^a9{}\[\]",: ]""")
MASKED = "***"
SKETCH_BYTES = 240
_ANYWHERE = 4  # characters from which a value is masked inside of words too


def mask_message(message: str) -> str:
    """An error message without quoted text and long numbers; use `mask_values` first for the values that are known."""
    return _NUMBER.sub(MASKED, _QUOTED.sub(MASKED, message))


def mask_values(text: str, values: Mapping[str, str]) -> str:
    """`text` with each of the `values` (clear text -> token) replaced; short ones only where they are whole words."""
    known = [value for value in values if value and value in text]
    if not known:
        return text
    known.sort(key=len, reverse=True)
    pattern = "|".join(
        re.escape(value) if len(value) >= _ANYWHERE else rf"(?<!\w){re.escape(value)}(?!\w)" for value in known
    )
    return re.sub(pattern, lambda found: values[found[0]], text)


def sketch(data: bytes) -> str:
    """The shape of the first bytes of unreadable input: letters become `a`, digits `9`; JSON's own marks stay.

    All else is `?`.
    """
    text = data[:SKETCH_BYTES].decode("ascii", "replace")
    shape = _FOREIGN.sub("?", _DIGIT.sub("9", _LETTER.sub("a", text)))
    return shape + ("…" if len(data) > SKETCH_BYTES else "")
