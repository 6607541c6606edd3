"""Checksums over whole columns of digits, in numpy: as many multiplications as a number has places.

Each function makes a condition over an array of texts. Everything but digits (and letters, where a scheme has them) is
separators. Shorter numbers are filled up with zeros on the left, which changes no sum that is counted from the right.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dynatrail.privacy.detectors.base import Bools

Condition = Callable[[pa.StringArray], Bools]
Digits = NDArray[np.int16]


def digits(texts: pa.StringArray, places: int) -> Digits:
    """The digits of each text in a row; of longer texts the last `places`."""
    bare = pc.replace_substring_regex(texts, pattern="[^0-9]+", replacement="")
    return (_letters(pc.utf8_lpad(bare, places, "0"), -places) - ord("0")).astype(np.int16)


def luhn(places: int) -> Condition:
    """ISO/IEC 7812-1, annex B."""

    def condition(texts: pa.StringArray) -> Bools:
        found = digits(texts, places)
        doubled = found[:, -2::-2] * 2
        total = found[:, -1::-2].sum(1) + (doubled - 9 * (doubled > 9)).sum(1)  # noqa: PLR2004  one digit
        return np.asarray(total % 10 == 0)

    return condition


def weighted(weights: Sequence[int], modulus: int, remainder: int = 0) -> Condition:
    """The sum of digits times weights leaves `remainder`."""

    def condition(texts: pa.StringArray) -> Bools:
        found = digits(texts, len(weights))
        return np.asarray((found @ np.array(weights, np.int16)) % modulus == remainder)

    return condition


def check_digit(weights: Sequence[int], modulus: int, *, places: int = 0) -> Condition:
    """The digit after those that are weighted is what their sum lacks to a multiple of `modulus`, modulo 10."""

    def condition(texts: pa.StringArray) -> Bools:
        found = digits(texts, places or len(weights) + 1)
        total = found[:, : len(weights)] @ np.array(weights, np.int16)
        return np.asarray(-total % modulus % 10 == found[:, len(weights)])

    return condition


def mod_11_10(places: int) -> Condition:
    """ISO/IEC 7064, MOD 11,10."""

    def condition(texts: pa.StringArray) -> Bools:
        found = digits(texts, places)
        check = np.full(len(found), 5, np.int16)
        for place in range(places):
            check = ((np.where(check == 0, 10, check) * 2) % 11 + found[:, place]) % 10
        return np.asarray(check == 1)

    return condition


def verhoeff(places: int) -> Condition:
    """Verhoeff's scheme over the dihedral group D5 ("Error detecting decimal codes", 1969)."""

    def condition(texts: pa.StringArray) -> Bools:
        found = digits(texts, places)
        multiply, permute = _dihedral()
        check = np.zeros(len(found), np.int16)
        for place in range(places):
            check = multiply[check, permute[place % 8, found[:, places - 1 - place]]]
        return np.asarray(check == 0)

    return condition


def mod_97(texts: pa.StringArray) -> Bools:
    """ISO 13616: the first four characters moved to the end, letters as 10 to 35, the number leaves 1."""
    longest = 34
    bare = pc.utf8_upper(pc.replace_substring_regex(texts, pattern="[^0-9A-Za-z]+", replacement=""))
    codes = _letters(pc.utf8_rpad(bare, longest, " "), longest).astype(np.int32)
    left = np.zeros(len(codes), np.int32)
    for place in [*range(4, longest), *range(4)]:
        code = codes[:, place]
        digit = code <= ord("9")
        value = np.where(digit, code - ord("0"), code - ord("A") + 10)
        left = np.where(code == ord(" "), left, (left * np.where(digit, 10, 100) + value) % 97)
    return np.asarray(left == 1)


def mod_11_2(texts: pa.StringArray) -> Bools:
    """ISO/IEC 7064, MOD 11-2, of 17 digits and a check character that may be X."""
    places = 18
    codes = _letters(pc.utf8_upper(texts), places).astype(np.int32)
    values = np.where(codes == ord("X"), 10, codes - ord("0"))
    weights = np.array([pow(2, places - 1 - place, 11) for place in range(places)], np.int32)
    return np.asarray((values @ weights) % 11 == 1)


def both(*conditions: Condition) -> Condition:
    def condition(texts: pa.StringArray) -> Bools:
        passed = conditions[0](texts)
        for other in conditions[1:]:
            passed = passed & other(texts)
        return passed

    return condition


def _letters(texts: pa.StringArray, places: int) -> NDArray[np.uint8]:
    """Texts of ASCII and at least `places` characters as a matrix of codes; a negative number counts from the end."""
    start, stop = (places, None) if places < 0 else (0, places)
    cut = pc.cast(pc.utf8_slice_codeunits(texts, start, stop), pa.string())
    data = cut.buffers()[2]
    width = abs(places)
    if data is None or not len(cut):
        return np.zeros((0, width), np.uint8)
    offset = cut.offset * width
    return np.frombuffer(data, np.uint8, len(cut) * width, offset).reshape(len(cut), width)


@lru_cache
def _dihedral() -> tuple[Digits, Digits]:
    multiply = np.zeros((10, 10), np.int16)
    for one in range(10):
        for other in range(10):
            turned = one - other if one >= 5 else one + other  # noqa: PLR2004  the upper five are reflections
            multiply[one, other] = turned % 5 + 5 * ((one >= 5) != (other >= 5))  # noqa: PLR2004
    first = np.array([1, 5, 7, 6, 2, 8, 3, 0, 9, 4], np.int16)
    powers = [np.arange(10, dtype=np.int16)]
    for _ in range(7):
        powers.append(first[powers[-1]])
    return multiply, np.stack(powers)
