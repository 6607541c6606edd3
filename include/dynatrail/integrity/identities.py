"""Which identities a union of conditions on `userIdentity.arn` lets through: exactly, whatever text is there.

A condition only asks whether the text equals a literal, begins with one or ends with one (or not). So two texts that
equal the same literals, begin with the same ones and end with the same ones are treated alike by every selector, and
one text of each such class decides for the class. Which classes are there? Take any text that equals no literal, the
longest prefix literal p that it begins with, and the longest suffix literal s that it ends with. The other prefix
literals that it begins with are just those that p begins with, since both lie at its start; likewise for s. Now
`p + c + s`, with a character c that is in no literal, begins with p and with what p begins with, and with nothing
longer, as that would have to contain c; likewise at its end; and equals no literal. So it is of the same class. Hence
the texts `p + c + s`, for every prefix literal or none and every suffix literal or none, and the Equals literals
themselves, are one of each class and no class is missing.

An ARN begins with `arn:`, and an identity without an ARN has no such field, which is as an empty text. So `arn:` counts
as a prefix literal, and classes of other texts are left out: a literal such as `AWSServiceRoleFor` begins no ARN, and
`NotStartsWith AWSServiceRoleFor`, which AWS's guide suggests against traffic of its own services, leaves out nobody.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_ARN = "arn:"
_ABSENT = ""


@dataclass(frozen=True, slots=True)
class Identities:
    """A set of identities, by `userIdentity.arn`.

    Attributes:
        prefix, suffix: what the ARN begins and ends with; both empty: everybody, those without an ARN too.
        equals: the one ARN that it is about; empty: who has no ARN, as AWS services.
        but: those of them that are not in the set.
    """

    prefix: str = ""
    suffix: str = ""
    equals: str | None = None
    but: tuple["Identities", ...] = ()

    def has(self, arn: str) -> bool:
        """Whether the identity of this ARN (empty: without one) is in the set."""
        if self.equals is not None:
            return arn == self.equals
        inside = arn.startswith(self.prefix) and arn.endswith(self.suffix)
        return inside and not any(one.has(arn) for one in self.but)


@dataclass(frozen=True, slots=True)
class Witness:
    """One text of a class, and the literals that make the class."""

    text: str
    prefix: str = ""
    suffix: str = ""
    equals: str | None = None

    def region(self, pool: Iterable["Witness"]) -> frozenset["Witness"]:
        """Those of `pool` whose texts begin and end as this class says; a class of one text is alone."""
        if self.equals is not None:
            return frozenset((self,))
        return frozenset(one for one in pool if one.text.startswith(self.prefix) and one.text.endswith(self.suffix))


def witnesses(prefixes: Iterable[str], suffixes: Iterable[str], equals: Iterable[str]) -> tuple[Witness, ...]:
    """One text of every class that conditions with these literals can tell apart."""
    texts = frozenset(equals)
    starts = sorted({_ARN, *(one for one in prefixes if one.startswith(_ARN))})
    ends = sorted({"", *suffixes})
    fresh = _fresh((*starts, *ends, *texts))
    single = (Witness(one, equals=one) for one in sorted({_ABSENT, *texts}) if one == _ABSENT or one.startswith(_ARN))
    return (*(Witness(f"{start}{fresh}{end}", start, end) for start in starts for end in ends), *single)


def describe(missed: frozenset[Witness], pool: Sequence[Witness]) -> tuple[Identities, ...]:
    """The classes `missed` of `pool`, in as few words as their literals give, and no more or less than them."""
    found = []
    left = set(missed)
    everybody = frozenset(pool)
    for one in sorted(missed, key=_generality):
        if one not in left:
            continue
        prefix, region = one.prefix, one.region(pool)
        absent = next((other for other in pool if other.equals == _ABSENT), None)
        if (prefix, one.suffix, one.equals) == (_ARN, "", None) and (absent is None or absent in left):
            prefix, region = "", everybody
        elif prefix == _ARN and one.suffix:
            prefix = ""  # whatever ends with something is an ARN
        found.append(Identities(prefix, one.suffix, one.equals, describe(region - missed, tuple(region))))
        left -= region
    return tuple(found)


def _fresh(literals: Iterable[str]) -> str:
    """A character that is in none of the literals."""
    used = set().union(*literals)
    return next(one for one in map(chr, range(0xE000, 0xF8FF)) if one not in used)


def _generality(one: Witness) -> tuple[bool, int, str, str, str]:
    return (one.equals is not None, len(one.prefix) + len(one.suffix), one.prefix, one.suffix, one.equals or "")
