"""What snapshots leave out: the one list, `include/configuration/volatile.yaml`."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from dynatrail.errors import SettingsError
from dynatrail.settings import PROJECT

FILE = PROJECT / "include" / "configuration" / "volatile.yaml"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Fields that the documents of some aspects lack; `when` names the condition under which they do."""

    aspects: frozenset[str]
    fields: frozenset[str]
    reason: str
    when: str | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """The file: what is left out, and the lists whose order has a meaning."""

    left_out: tuple[LeftOut, ...]
    ordered: frozenset[str]

    def fields(self, aspect: str, conditions: Collection[str] = ()) -> frozenset[str]:
        """Names of the fields that documents of `aspect` lack, given the conditions that hold."""
        return frozenset().union(
            *(
                rule.fields
                for rule in self.left_out
                if (aspect in rule.aspects or "*" in rule.aspects) and (rule.when is None or rule.when in conditions)
            )
        )


@cache
def rules() -> Rules:
    """The rules as the file has them.

    Raises:
        SettingsError: the file cannot be read, or an entry lacks its aspects, fields or reason.
    """
    try:
        document = yaml.safe_load(FILE.read_text(encoding="utf-8"))
        left_out = tuple(_entry(entry) for entry in document["volatile"])
        return Rules(left_out, frozenset(document["ordered"]))
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise SettingsError(
            f"{FILE} cannot be used ({type(error).__name__}: {error}): each entry under `volatile` needs aspects, "
            "fields and a reason, and `ordered` is a list of names."
        ) from None


def _entry(entry: dict[str, Any]) -> LeftOut:
    return LeftOut(frozenset(entry["aspects"]), frozenset(entry["fields"]), str(entry["reason"]), entry.get("when"))
