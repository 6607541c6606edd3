"""What an attribute's name says about its values, by a dictionary in many languages.

A name is taken apart at its separators and at changes of case, and its words, joined again without them, are looked up:
`date_of_birth`, `dateOfBirth` and `DATEOFBIRTH` are one. A phrase counts where it reaches the last name of a path, or
where nothing follows but words that add nothing: `iban_number`, `phone.value`.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

HARMLESS = "harmless"

_WORDS_OF_A_PHRASE = 6
_CASE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z](?:[a-rt-z]|s[a-z]))")
_SEPARATORS = re.compile(r"[\W_]+")
_EMPTY_WORDS = frozenset(
    (
        "number",
        "no",
        "nr",
        "num",
        "value",
        "val",
        "text",
        "raw",
        "string",
        "str",
        "code",
        "data",
        "field",
        "plain",
        "clear",
    )
    + (
        "old",
        "new",
        "current",
        "primary",
        "secondary",
        "main",
        "default",
        "line",
        "1",
        "2",
        "3",
        "formatted",
        "normalized",
    )
)


@dataclass(frozen=True, slots=True)
class Names:
    """The dictionary.

    Attributes:
        phrases: joined words, and the classes and families, or `harmless`, that they speak for.
    """

    phrases: Mapping[str, frozenset[str]]

    def speak_for(self, names: tuple[str, ...]) -> frozenset[str]:
        """What the names along a path, outermost first, speak for.

        `harmless` is said of the end of a path, where it is no part of a phrase that speaks for something sensitive:
        of `order_id` and `card_id`, not of `national_id`.
        """
        return _spoken(self, names)


def dictionary(entries: Iterable[tuple[str, Iterable[str]]]) -> Names:
    """Of what is spoken for, and the phrases that do."""
    phrases: dict[str, set[str]] = {}
    for subject, words in entries:
        for phrase in words:
            for joined in {"".join(split(phrase)), "".join(_singular(word) for word in split(phrase))}:
                phrases.setdefault(joined, set()).add(subject)
    return Names({phrase: frozenset(subjects) for phrase, subjects in phrases.items()})


@lru_cache(maxsize=50_000)
def split(name: str) -> tuple[str, ...]:
    """The words of a name, in lower case without accents."""
    parted = _CASE.sub(" ", name)
    spread = unicodedata.normalize(
        "NFKD", parted.replace("ø", "o").replace("Ø", "O").replace("ł", "l").replace("ß", "ss")
    )
    plain = unicodedata.normalize("NFC", "".join(one for one in spread if not _accent(one)))
    return tuple(word for word in _SEPARATORS.split(plain.casefold()) if word)


def _spoken(names: Names, path: tuple[str, ...]) -> frozenset[str]:
    words = [_singular(word) for name in path for word in split(name)]
    last = len(words) - len(split(path[-1])) if path else 0
    filled = max((at for at, word in enumerate(words, 1) if word not in _EMPTY_WORDS), default=0)
    found: list[tuple[int, int, frozenset[str]]] = []
    for start in range(len(words)):
        for stop in range(start + 1, min(len(words), start + _WORDS_OF_A_PHRASE) + 1):
            subjects = names.phrases.get("".join(words[start:stop]))
            if subjects and (stop > last or stop >= filled):
                found.append((start, stop, subjects))
    sensitive = [(start, stop) for start, stop, subjects in found if subjects != {HARMLESS}]
    # What is part of a longer phrase says nothing by itself: the id of a national id, the card of a card number.
    spoken: set[str] = set()
    for start, stop, subjects in found:
        if any((begin, end) != (start, stop) and begin <= start and stop <= end for begin, end in sensitive):
            continue
        spoken |= subjects if stop >= filled else subjects - {HARMLESS}
    return frozenset(spoken)


def _accent(character: str) -> bool:
    # Marks of scripts in which they are no accents (Devanagari, Thai, Japanese voicing) stay.
    return "\u0300" <= character <= "\u036f"


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word  # noqa: PLR2004
