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

MOST_SURE = 0.99

_PRIOR = math.log(0.003)
"""Odds that an attribute is of a given class before anything is known of it. All odds here are logarithms."""

_NAMED, _OF_FAMILY, _HARMLESS = math.log(1000), math.log(100), math.log(1 / 50)
_MOST_TYPOS = 0.02
_LEAST_SHARE = 0.5
"""Share of an attribute's values that must fit where only its name speaks for the class."""

_SHAPE_ALONE, _ANYWHERE = 0.5, 1e4
"""A chance above which a shape is all there is; a rarity from which one value in thousands is enough."""

_MOST_PROOF = 500
"""Different candidates from which more are no more proof: harmless numbers are not drawn by lot, so their checksums
pass a little more or less often than chance says, and enough of them would make that look certain."""

_LONGEST = 20_000
"""Characters of a value that are looked at."""


@dataclass(frozen=True, slots=True)
class Found:
    """A class of sensitive values at a path.

    Attributes:
        path: as a masking policy writes it. Of a map: the names of its members are the values.
        detected_class: see docs/reference/discovery.md.
        confidence: up to 0.99, how likely the attribute holds values of this class. Below 0.5: of this one or of
            another with the same check digits, which the values do not tell apart.
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
    spoken = [_spoken(path, detection) for path in paths]
    owners = np.repeat(np.arange(len(paths)), np.diff(starts))
    hits = list(_hits(texts, detection.detectors, owners, spoken))
    found: list[Found] = []
    for place, path in enumerate(paths):
        begin, end = int(starts[place]), int(starts[place + 1])
        if begin < end:
            attribute = _Attribute(begin, counts[begin:end], spoken[place])
            found += [
                Found(path, name, confidence, len(values[path]), int(counts[matched].sum()), len(matched))
                for name, (confidence, matched) in _judged(attribute, [_cut(hit, begin, end) for hit in hits]).items()
            ]
    return found


@dataclass(slots=True)
class _Attribute:
    """Where an attribute's different values begin among all, how often each is there, what its name speaks for."""

    begin: int
    counts: NDArray[np.int64]
    spoken: frozenset[str]

    def weight(self, places: Indices) -> float:
        return float(self.counts[places - self.begin].sum() / self.counts.sum())


@cache
def _shipped() -> Detection:
    return own.load()


def _counted(values: pa.Array) -> tuple[pa.StringArray, NDArray[np.int64]]:
    """The different values without nulls and blanks around them, and how often each is there."""
    cleaned = pc.utf8_slice_codeunits(pc.utf8_trim_whitespace(values.cast(pa.string())), 0, _LONGEST)
    counts = pc.value_counts(cleaned.drop_null())
    return counts.field("values"), np.asarray(counts.field("counts")).astype(np.int64)


def _spoken(path: str, detection: Detection) -> frozenset[str]:
    return detection.names.speak_for(tuple(name for name in steps(path) if isinstance(name, str) and name != ANY))


def _hits(
    texts: pa.StringArray, detectors: tuple[Detector, ...], owners: Indices, spoken: list[frozenset[str]]
) -> Iterator[_Hit]:
    groups: dict[str, Indices] = {
        name: np.flatnonzero(fits(texts, pattern, whole=False)) if pattern else np.arange(len(texts))
        for name, pattern in AMONG.items()
    }
    subsets = {name: taken(texts, places) for name, places in groups.items()}
    by_itself = np.zeros(len(texts), bool)
    for detector in detectors:
        places, subset = groups[detector.among], subsets[detector.among]
        if detector.needs_name:
            named = np.array([not one.isdisjoint((detector.name, detector.family)) for one in spoken])
            places = places[named[owners[places]]]
            subset = taken(texts, places)
            if not len(places):
                continue
        fitting = detector.candidates(subset)
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
            candidates, matched = detector.found_in(within)
            if len(candidates):
                yield _Hit(detector, inside=True, candidates=longer[candidates], matched=longer[matched])


def _cut(hit: _Hit, begin: int, end: int) -> _Hit:
    def part(places: Indices) -> Indices:
        low, high = np.searchsorted(places, (begin, end))
        return places[low:high]

    return _Hit(hit.detector, hit.inside, part(hit.candidates), part(hit.matched))


def _judged(attribute: _Attribute, hits: list[_Hit]) -> dict[str, tuple[float, Indices]]:
    """Classes of one attribute, the surest first: how sure, and the places of their values.

    What one class has taken for its own says nothing for another any more, but within longer texts several may stand.
    """
    free = np.ones(len(attribute.counts), bool)
    left = [hit for hit in hits if len(hit.matched)]
    classes: dict[str, tuple[float, Indices]] = {}
    while left:
        now = [_free(hit, free, attribute.begin) for hit in left]
        odds = [_odds(hit, attribute) for hit in now]
        best = int(np.argmax(odds))  # of equals the first: what is sensitive stands before its doubles
        if odds[best] < 0:
            break
        hit = now[best]
        name = hit.detector.name
        rivals = [odds[best]] + [
            other_odds
            for other, other_odds in zip(now, odds, strict=True)
            if other.detector.name != name
            and not (hit.inside or other.inside)
            and _share(other.matched, hit.matched) > _LEAST_SHARE
        ]
        confidence = math.exp(odds[best] - float(np.logaddexp.reduce([0.0, *rivals])))
        if hit.detector.family != HARMLESS:
            sure, known = classes.get(name, (0.0, np.array([], np.int64)))
            classes[name] = (
                max(sure, min(round(confidence, 2), MOST_SURE)),
                np.union1d(known, hit.matched),
            )
        if not hit.inside:
            free[hit.matched - attribute.begin] = False
        left.pop(best)
    return classes


def _free(hit: _Hit, free: Bools, begin: int) -> _Hit:
    candidates, matched = (places[free[places - begin]] for places in (hit.candidates, hit.matched))
    return _Hit(hit.detector, hit.inside, candidates, matched)


def _share(some: Indices, others: Indices) -> float:
    return float(np.isin(others, some, assume_unique=True).mean()) if len(others) else 0.0


def _odds(hit: _Hit, attribute: _Attribute) -> float:
    """How likely the class is rather than not, as the logarithm of the odds."""
    detector, spoken = hit.detector, attribute.spoken
    share = attribute.weight(hit.matched)
    if not share or (detector.needs_name and share < _LEAST_SHARE):
        return -math.inf
    rarity = math.log(detector.rarity)
    if detector.chance > _SHAPE_ALONE and detector.rarity < _ANYWHERE and not hit.inside:
        rarity *= share  # a few values of a shape that is only uncommon are there by accident
    odds = _PRIOR + rarity + _likelihood(len(hit.matched), len(hit.candidates), detector.chance)
    odds += _NAMED if detector.name in spoken else _OF_FAMILY if detector.family in spoken else 0.0
    doubted = HARMLESS in spoken and detector.family != HARMLESS and detector.rarity < _ANYWHERE
    return odds + (_HARMLESS if doubted else 0.0)


def _likelihood(matched: int, candidates: int, chance: float) -> float:
    """How many times better the class explains the passed checks than chance does, as a logarithm.

    The share of true values among the candidates is fitted, and paid for by the square root of their number
    (Schwarz, "Estimating the dimension of a model", 1978). No better than chance speaks against the class.
    """
    if chance > _SHAPE_ALONE:
        return 0.0
    counted = min(candidates, _MOST_PROOF)
    share = matched / candidates
    passed, failed = counted * share, counted * (1 - share)
    share = min(share, 1 - _MOST_TYPOS) if share > chance else 1 - 5 * _MOST_TYPOS
    gained = passed * math.log(share / chance) + failed * math.log((1 - share) / (1 - chance))
    return gained - math.log(counted) / 2
