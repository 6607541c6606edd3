"""Whether what the masking policy does with a path hides a class of sensitive values, and what would.

An action is `hidden` where the value cannot be told from what is stored, `weak` where something of it can that matters
for this class, `clear` where it stands there. Where names of a map's members are the values, only `drop` hides them:
every other action keeps names.
"""

from typing import Literal

from dynatrail.privacy.actions import Mask
from dynatrail.privacy.detectors import BUILT_IN
from dynatrail.privacy.policy import Doing

Protection = Literal["hidden", "weak", "clear"]
HIDDEN: Protection = "hidden"
WEAK: Protection = "weak"
CLEAR: Protection = "clear"

SURE = 0.5
"""Confidence below which a person must say whether values are sensitive at all."""

FEW_VALUES = 10
"""Different values below which tokens tell by their frequency which is which, if there are some samples of each."""

_FREQUENT = 5
_MOST_SHOWN = 4
_FIRST_SHOWN = {"payment_card": 6, "iban": 4}
_COUNTABLE = frozenset(("gender", "nationality", "belief_or_origin", "diagnosis", "health_code", "salary"))
"""Classes with few values, or few that are common."""

_FAMILY = {one.name: one.family for one in BUILT_IN}
_PARTLY = frozenset(("payment", "contact", "national_id", "own"))
_SHORT_PREFIX, _SHORT_PREFIX_6 = 24, 48

_BY_CLASS: dict[str, Doing] = {
    "payment_card": Doing(action="partial", keep_last=4),
    "iban": Doing(action="partial", keep_last=4),
    "ip_address": Doing(action="generalise", to="prefix"),
    "date_of_birth": Doing(action="generalise", to="year"),
    "email": Doing(action="token"),
    "phone": Doing(action="token"),
    "person_name": Doing(action="token"),
}
_STRICTEST = ("drop", "redact", "token", "generalise", "partial")


def of(mask: Mask, detected_class: str, *, in_names: bool, distinct: int, matched: int) -> Protection:
    """How well `mask` hides values of a class.

    Args:
        mask: what is done with the path.
        detected_class: of its values.
        in_names: they are names of a map's members.
        distinct: different values of the class in a sample.
        matched: values of the class in it.
    """
    if mask.action == "drop":
        return HIDDEN
    if in_names or mask.action == "keep":
        return CLEAR
    if mask.action == "token":
        few = 0 < distinct <= FEW_VALUES and matched >= _FREQUENT * distinct
        return WEAK if few or detected_class in _COUNTABLE else HIDDEN
    if mask.action == "partial":
        return HIDDEN if _few_shown(mask, detected_class) else WEAK
    if mask.action == "generalise":
        return HIDDEN if _coarse(mask, detected_class) else WEAK
    return HIDDEN


def best(detected_class: str, *, confidence: float | None, in_names: bool, distinct: int, matched: int) -> Doing:
    """What to do with a class of values: the most useful action that hides them; `redact` where it is unsure."""
    if in_names:
        return Doing(action="drop")
    if confidence is None or confidence < SURE:
        return Doing(action="redact")
    fallback = Doing(action="token" if _FAMILY.get(detected_class) == "national_id" else "redact")
    doing = _BY_CLASS.get(detected_class, fallback)
    hides = of(doing.mask, detected_class, in_names=False, distinct=distinct, matched=matched) == HIDDEN
    return doing if hides else Doing(action="redact")


def strictest(doings: list[Doing]) -> Doing:
    """Of what is wanted for several classes at one path the one that hides most; of several equal ones the first."""
    return min(doings, key=lambda one: _STRICTEST.index(one.action))


def _few_shown(mask: Mask, detected_class: str) -> bool:
    """PCI DSS 3.4.1 lets the first six and last four digits of a card be seen; of others at most four characters."""
    if _FAMILY.get(detected_class, "own") not in _PARTLY:
        return False
    first = _FIRST_SHOWN.get(detected_class)
    if first is not None:
        return mask.keep_first <= first and mask.keep_last <= _MOST_SHOWN
    return mask.keep_first + mask.keep_last <= _MOST_SHOWN


def _coarse(mask: Mask, detected_class: str) -> bool:
    if detected_class == "date_of_birth":
        return mask.to == "year"
    if detected_class == "ip_address":
        return mask.to == "prefix" and mask.ipv4 <= _SHORT_PREFIX and mask.ipv6 <= _SHORT_PREFIX_6
    return detected_class in ("salary", "geo_location") and mask.to == "bucket"
