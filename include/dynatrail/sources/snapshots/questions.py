"""What can be asked of AWS, as data: an `Aspect` of a resource that is known, a `Listing` that finds resources."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from dynatrail.sources.snapshots.asking import Api


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource to ask about.

    Attributes:
        fields: what parameters may be taken from, beside `arn` and `name`.
        region: where to ask, if not in the target's own region.
    """

    type: str
    arn: str
    name: str | None
    fields: Mapping[str, Any] = field(default_factory=dict)
    region: str | None = None

    def value(self, name: str) -> Any:
        return {"arn": self.arn, "name": self.name}.get(name) or self.fields.get(name)


@dataclass(frozen=True, slots=True)
class Aspect:
    """One API about one resource.

    Attributes:
        of: resource type that it is asked about.
        parameters: parameter -> field of the resource (`arn`, `name`, …).
        only_with: field without which it is not asked, as the resource does not have that side.
    """

    api: Api
    of: str
    parameters: Mapping[str, str]
    only_with: str = ""

    @property
    def name(self) -> str:
        return self.api.operation


@dataclass(frozen=True, slots=True)
class Listing:
    """One API that lists resources, each with its document.

    Attributes:
        of: their resource type.
        arn, label: members that hold a resource's ARN (or what AWS has in its place) and the name that people know.
        constant: parameters that are always sent.
        detail: API that tells more of each, with parameter -> member; asked when the list says something new of it.
        only: member and value of the resources that are meant.
        tells: whether a member changes whenever its detail does; if not, the detail is asked every time.
    """

    api: Api
    of: str
    arn: str
    label: str = ""
    constant: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    detail: tuple[Api, Mapping[str, str]] | None = None
    only: tuple[str, str] | None = None
    tells: bool = True

    @property
    def name(self) -> str:
        return self.api.operation
