"""A detector: a shape, what a value of the shape must meet, and how often a harmless one meets it by accident.

Shapes are RE2 patterns, which pyarrow runs without backtracking over whole columns. What survives them is held against
checksums, in numpy over all survivors, or one by one with python-stdnum where its rules are richer.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Indices = NDArray[np.int64]
Among = Literal["digits", "words", "any"]

_LONGEST_WORD = 44
AMONG: dict[str, str] = {
    "digits": r"^\+?\(?[0-9][0-9 .()/\-]{3,28}$",
    "words": rf"^[0-9A-Za-z][0-9A-Za-z .+/\-]{{1,{_LONGEST_WORD - 1}}}$",
    "any": "",
}
"""What a text must be for a detector to look at it at all: checked once for all of them."""

TEXT = r"[\s,;:\"{<=|]"
"""What a text holds in which a value may be hidden among others."""


@dataclass(frozen=True, slots=True)
class Detector:
    """One form of one class.

    Attributes:
        name: the class, as a policy names it.
        family: names of attributes that speak of a whole family (`national_id`) speak of the class too.
        shape: RE2 pattern of a whole value; one that fits it is a candidate.
        form: RE2 pattern that a candidate must fit besides, such as a date in the middle. It proves nothing, as
            order numbers may all begin with a date too.
        rule: RE2 pattern that tells values of the class from other candidates.
        quick: necessary condition over an array of candidates.
        check: the last word on one candidate.
        chance: share of harmless values of the shape that pass all of that by accident; 1: the shape is all there is.
        rarity: how many times likelier attributes of the class have the shape than others do.
        needs_name: the values alone say too little; the attribute's name must speak for the class.
        inside: also looked for within longer texts.
    """

    name: str
    family: str
    shape: str
    among: Among = "any"
    form: str = ""
    rule: str = ""
    quick: Callable[[pa.StringArray], Bools] | None = None
    check: Callable[[str], bool] | None = None
    chance: float = 1.0
    rarity: float = 1.0
    needs_name: bool = False
    inside: bool = False

    def candidates(self, texts: pa.StringArray) -> Indices:
        """Places of the texts that have the shape."""
        places = np.flatnonzero(fits(texts, self.shape))
        if self.form and len(places):
            places = places[fits(taken(texts, places), self.form)]
        return places

    def matched(self, candidates: pa.StringArray) -> Bools:
        """Which of the texts of the shape are of the class."""
        passed = fits(candidates, self.rule) if self.rule else np.ones(len(candidates), bool)
        if self.quick is not None and passed.any():
            passed[passed] = self.quick(taken(candidates, np.flatnonzero(passed)))
        if self.check is not None and passed.any():
            survivors = taken(candidates, np.flatnonzero(passed)).to_pylist()
            passed[passed] = [self._checked(text) for text in survivors]
        return passed

    def found_in(self, texts: pa.StringArray) -> tuple[Indices, Indices]:
        """Places of the texts that hold something of the shape, and of those that hold something of the class."""
        around = rf"(?:^|[^0-9A-Za-z+])({self.shape})(?:$|[^0-9A-Za-z])"
        places = np.flatnonzero(fits(texts, around, whole=False))
        if not len(places) or not (self.form or self.rule or self.quick or self.check):
            return places, places
        pattern = re.compile(around)
        pieces, owners = [], []
        for owner, text in zip(places.tolist(), taken(texts, places).to_pylist(), strict=True):
            for piece in pattern.finditer(text):
                pieces.append(piece[1])
                owners.append(owner)
        held, held_by = pa.array(pieces, pa.string()), np.array(owners, np.int64)
        if self.form:
            fitting = np.flatnonzero(fits(held, self.form))
            held, held_by = taken(held, fitting), held_by[fitting]
        return np.unique(held_by), np.unique(held_by[self.matched(held)])

    def _checked(self, text: str) -> bool:
        try:
            return bool(self.check is None or self.check(text))
        except Exception:  # noqa: BLE001  an error's text may hold the value, so none goes further
            return False


def fits(texts: pa.StringArray, pattern: str, *, whole: bool = True) -> Bools:
    """Which texts the RE2 pattern fits."""
    anchored = f"^(?:{pattern})$" if whole else pattern
    return cast("Bools", np.asarray(pc.match_substring_regex(texts, pattern=anchored)))


def taken(texts: pa.StringArray, places: Indices) -> pa.StringArray:
    return texts.take(pa.array(places))
