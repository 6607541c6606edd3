"""Free text that may quote what was asked for: error messages, and pieces of input that could not be read."""

import re
from collections.abc import Mapping

_QUOTED = re.compile(r"""'[^']*'|"[^"]*"|`[^`]*`""")
_NUMBER = re.compile(r"(?<![\w.:-])\d{4,}(?![\w:])")
_LETTER = re.compile(r"[A-Za-z]")
_DIGIT = re.compile(r"\d")
MASKED = "***"
SKETCH_BYTES = 240


def mask_message(message: str, values: Mapping[str, str]) -> str:
    """An error message without the key values of its request, quoted text or long numbers."""
    for clear in sorted(values, key=len, reverse=True):
        if clear:
            message = message.replace(clear, values[clear])
    return _NUMBER.sub(MASKED, _QUOTED.sub(MASKED, message))


def sketch(data: bytes) -> str:
    """The shape of the first bytes of unreadable input: letters become `a`, digits `9`, foreign bytes `?`."""
    text = data[:SKETCH_BYTES].decode("ascii", "replace").replace("\ufffd", "?")
    shape = _DIGIT.sub("9", _LETTER.sub("a", text))
    visible = "".join(char if char.isprintable() else "?" for char in shape)
    return visible + ("…" if len(data) > SKETCH_BYTES else "")
