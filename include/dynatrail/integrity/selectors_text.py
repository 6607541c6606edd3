"""What selectors leave out, in words for people: the lines of `coverage.excluded` and of findings."""

from collections.abc import Iterable

from dynatrail.integrity.identities import Identities
from dynatrail.integrity.selectors import Answer, Gap
from dynatrail.integrity.words import Selection

_FIELDS = {
    "eventCategory": "has no selector for events of this category",
    "resources.type": "has no selector for DynamoDB tables",
    "eventSource": "leaves out dynamodb.amazonaws.com",
    "eventType": "leaves out AwsApiCall events",
    "resources.ARN": "selects other tables only",
    "readOnly": "leaves out what its records call {kind}",
    "eventName": "leaves out this operation by its name",
    "userIdentity.arn": "selects nobody's calls",
}


def excluded(answer: Answer, *, read_only: bool = False) -> list[str]:
    """What an answer leaves out, or why that cannot be told; empty where all is selected.

    Args:
        answer: the answer.
        read_only: what the operation's records say.
    """
    lines = ["all calls"] if answer.selection is Selection.NONE else [gap_text(one) for one in answer.gaps]
    kind = "reads" if read_only else "writes"
    return lines + [
        f"{f'trail {trail} ' if trail else ''}{_FIELDS.get(why, why).format(kind=kind)}"
        for trail, why in answer.reasons
    ]


def gap_text(gap: Gap) -> str:
    """One gap in words, such as `calls through the console by arn:aws:iam::123456789012:user/ana`."""
    which = f"{', '.join(gap.calls)}: " if gap.calls else ""
    console = {True: " through the console", False: " other than through the console", None: ""}[gap.console]
    if not gap.identities:
        return f"{which}all calls{console}"
    return f"{which}calls{console} by {' or by '.join(map(identities_text, gap.identities))}"


def identities_text(one: Identities) -> str:
    """A set of identities in words."""
    if one.equals is not None:
        return one.equals or "callers without an ARN, such as AWS services"
    parts = []
    if one.prefix != "arn:" and one.prefix:
        parts.append(f"begins with {one.prefix}")
    if one.suffix:
        parts.append(f"ends with {one.suffix}")
    who = f"identities whose ARN {' and '.join(parts)}" if parts else _whole(one)
    return f"{who}{_but(one.but)}"


def _whole(one: Identities) -> str:
    return "identities with an ARN" if one.prefix else "everybody"


def _but(left_out: Iterable[Identities]) -> str:
    names = [identities_text(one) for one in left_out]
    return f" (but not {', nor '.join(names)})" if names else ""
