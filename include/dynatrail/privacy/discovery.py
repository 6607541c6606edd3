"""Which attributes hold sensitive values, judged from samples; no value ever comes out, not even in an error.

All different values of all attributes are looked at together, by one detector after the other. Then each attribute is
judged by itself. How sure a finding is comes of odds (Bayes): how common the class is, times what the attribute's name
says, times how rare the notation is elsewhere, times how much better the class explains the checksums than chance does.
docs/reference/discovery.md tells it in words.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dynatrail.privacy.detectors import own
from dynatrail.privacy.detectors.base import AMONG, TEXT, Bools, Detector, Indices, fits, taken
from dynatrail.privacy.detectors.names import HARMLESS
from dynatrail.privacy.detectors.own import Detection
from dynatrail.privacy.discovery_paths import flatten
from dynatrail.privacy.policy import ANY, steps

__all__ = ["Found", "flatten", "inspect"]

LEAST_SURE, MOST_SURE = 0.5, 0.99

_PRIOR = 0.003
"""Odds that an attribute is of a given class before anything is known of it."""

_NAMED, _OF_FAMILY, _HARMLESS = 1000.0, 100.0, 1 / 50
_MOST_TYPOS = 0.02
_LEAST_SHARE = 0.5
"""Share of an attribute's values that must fit where only its name speaks for the class."""

_LONGEST = 20_000
"""Characters of a value that are looked at."""


@dataclass(frozen=True, slots=True)
class Found:
    """A class of sensitive values at a path.

    Attributes:
        path: as a masking policy writes it. Of a map: the names of its members are the values.
        detected_class: see docs/reference/discovery.md.
        confidence: 0.5 to 0.99, how likely the attribute holds such values.
        sampled: values that were there.
        matched: those that are of the class.
        distinct: different ones among them.
    """

    path: str
    detected_class: str
    confidence: float
    sampled: int
    matched: int
    distinct: int


@dataclass(frozen=True, slots=True)
class _Hit:
    """What one detector found: places among all different values, in order."""

    detector: Detector
    inside: bool
    candidates: Indices
    matched: Indices


def inspect(values: Mapping[str, pa.Array], detection: Detection | None = None) -> list[Found]:
    """What is sensitive at which path, the surest first at each path.

    Args:
        values: arrays of text by path, as `flatten` gives them; nulls are values that cannot be looked at.
        detection: what is looked for; none: what the project's files say.

    Raises:
        SettingsError: such a file is wrong.
    """
    detection = detection or _shipped()
    paths = sorted(values)
    counted = [_counted(values[path]) for path in paths]
    texts = pa.chunked_array([one for one, _ in counted], pa.string()).combine_chunks() if paths else pa.array([])
    if not len(texts):
        return []
    counts = np.concatenate([one for _, one in counted])
    starts = np.cumsum([0] + [len(one) for one, _ in counted])
    hits = list(_hits(texts, detection.detectors))
    found: list[Found] = []
    for place, path in enumerate(paths):
        begin, end = int(starts[place]), int(starts[place + 1])
        if begin < end:
            judged = _judged(path, [_cut(hit, begin, end) for hit in hits], counts, (begin, end), detection)
            found += [
                Found(path, name, confidence, len(values[path]), int(counts[matched].sum()), len(matched))
                for name, (confidence, matched) in judged.items()
            ]
    return found


@cache
def _shipped() -> Detection:
    return own.load()


def _counted(values: pa.Array) -> tuple[pa.StringArray, NDArray[np.int64]]:
    """The different values without nulls and blanks around them, and how often each is there."""
    cleaned = pc.utf8_slice_codeunits(pc.utf8_trim_whitespace(values.cast(pa.string())), 0, _LONGEST)
    counts = pc.value_counts(cleaned.drop_null())
    return counts.field("values"), np.asarray(counts.field("counts")).astype(np.int64)


def _hits(texts: pa.StringArray, detectors: tuple[Detector, ...]) -> Iterator[_Hit]:
    groups: dict[str, Indices] = {
        name: np.flatnonzero(fits(texts, pattern, whole=False)) if pattern else np.arange(len(texts))
        for name, pattern in AMONG.items()
    }
    subsets = {name: taken(texts, places) for name, places in groups.items()}
    by_itself = np.zeros(len(texts), bool)
    for detector in detectors:
        places, subset = groups[detector.among], subsets[detector.among]
        fitting = np.flatnonzero(fits(subset, detector.shape))
        if len(fitting):
            candidates = places[fitting]
            matched = candidates[detector.matched(taken(subset, fitting))]
            if not detector.needs_name:
                by_itself[matched] = True
            yield _Hit(detector, inside=False, candidates=candidates, matched=matched)
    # A value that is one thing as a whole is not searched for others within.
    longer = np.flatnonzero(fits(texts, TEXT, whole=False) & ~by_itself)
    within = taken(texts, longer)
    for detector in detectors:
        if detector.inside:
            candidates_within, matched_within = detector.found_in(within)
            if candidates_within.any():
                yield _Hit(detector, inside=True, candidates=longer[candidates_within], matched=longer[matched_within])


def _cut(hit: _Hit, begin: int, end: int) -> _Hit:
    def part(places: Indices) -> Indices:
        low, high = np.searchsorted(places, (begin, end))
        return places[low:high]

    return _Hit(hit.detector, hit.inside, part(hit.candidates), part(hit.matched))


def _judged(
    path: str, hits: list[_Hit], counts: NDArray[np.int64], bounds: tuple[int, int], detection: Detection
) -> dict[str, tuple[float, Indices]]:
    """Classes of one path, the surest first: how sure, and the places of their values.

    What one class has taken for its own says nothing for another any more, but within longer texts several may stand.
    """
    spoken = detection.names.speak_for(tuple(name for name in steps(path) if isinstance(name, str) and name != ANY))
    begin, end = bounds
    total = int(counts[begin:end].sum())
    free = np.ones(end - begin, bool)
    left = [hit for hit in hits if len(hit.matched)]
    classes: dict[str, tuple[float, Indices]] = {}
    while left:
        odds = [_odds(hit, free, begin, spoken, counts, total) for hit in left]
        best = int(np.argmax(odds))
        if odds[best] < LEAST_SURE / (1 - LEAST_SURE):
            break
        hit = left.pop(best)
        matched = hit.matched[free[hit.matched - begin]]
        sure, known = classes.get(hit.detector.name, (0.0, np.array([], np.int64)))
        confidence = min(round(odds[best] / (1 + odds[best]), 2), MOST_SURE)
        classes[hit.detector.name] = (max(sure, confidence), np.union1d(known, matched))
        if not hit.inside:
            free[matched - begin] = False
    return classes


def _odds(hit: _Hit, free: Bools, begin: int, spoken: frozenset[str], counts: NDArray[np.int64], total: int) -> float:
    detector = hit.detector
    candidates = hit.candidates[free[hit.candidates - begin]]
    matched = hit.matched[free[hit.matched - begin]]
    if not len(matched):
        return 0.0
    named = detector.name in spoken
    odds = _PRIOR * detector.rarity
    odds *= _NAMED if named else _OF_FAMILY if detector.family in spoken else 1.0
    if HARMLESS in spoken:
        odds *= _HARMLESS
    if detector.needs_name and not (named or detector.family in spoken):
        return 0.0
    if detector.needs_name and counts[matched].sum() < _LEAST_SHARE * total:
        return 0.0
    return odds * _likelihood(len(matched), len(candidates), detector.chance)


def _likelihood(matched: int, candidates: int, chance: float) -> float:
    """How many times better the class explains the passed checks than chance does.

    The share of true values among the candidates is fitted, and paid for by the square root of their number
    (Schwarz, "Estimating the dimension of a model", 1978).
    """
    if chance >= 1:
        return 1.0
    share = min(max(matched / candidates, chance), 1 - _MOST_TYPOS)
    gained = matched * math.log(share / chance)
    gained += (candidates - matched) * math.log((1 - share) / (1 - chance))
    if matched / candidates <= chance:
        # No better than chance: then it speaks against the class that nearly all should have passed.
        gained = matched * math.log(0.9 / chance) + (candidates - matched) * math.log(0.1 / (1 - chance))
    return math.exp(max(-20.0, min(20.0, gained - math.log(candidates) / 2)))
