"""What the mapped tasks of a run did, added up."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def total(
    nothing: "DataclassInstance", summaries: Iterable[Mapping[str, Any]], *, once: tuple[str, ...] = ("warnings",)
) -> dict[str, Any]:
    """Counts added and lists joined, from a summary of nothing on; lists named `once` are sorted, each entry once."""
    whole = asdict(nothing)
    for summary in summaries:
        for name, value in summary.items():
            whole[name] = whole[name] + value
    return whole | {name: sorted(set(whole[name])) for name in once}
