"""Text from logs on a terminal: a user agent may hold escape sequences that move the cursor or retitle the window."""

from rich.markup import escape


def escaped(text: str) -> str:
    """`text` for a console of rich: neither its markup nor a control character does anything."""
    return escape(harmless(text))


def harmless(text: str) -> str:
    r"""`text` with every character that is not printable written as its escape, such as `\x1b`; line ends stay."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char == "\n" else char.encode("unicode_escape").decode("ascii") for char in text
    )
