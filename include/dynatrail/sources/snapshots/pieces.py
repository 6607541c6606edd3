"""What a look at an account gives, before it is compared with what was seen before."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from dynatrail.sources.snapshots import canonical

PRESENT, GONE, UNREADABLE = "present", "gone", "unreadable"

Key = tuple[str, str]
"""Resource ARN and aspect."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One resource under one aspect, as it is now.

    Attributes:
        document: canonical JSON; None when it may not be read.
        reason: then why.
    """

    resource_type: str
    resource_arn: str
    aspect: str
    resource_name: str | None
    status: str
    document: str | None = field(repr=False)
    sha256: str | None
    reason: str | None = None

    @property
    def key(self) -> Key:
        return self.resource_arn, self.aspect

    @property
    def marks(self) -> list[str] | None:
        return ["external_id"] if self.document and canonical.holds_external_id(self.document) else None


@dataclass(slots=True)
class Capture:
    """Everything that one look has seen, and how far it could see.

    Attributes:
        complete: (resource type, aspect) of which all that there is was listed: what is known and was not met is gone.
        unchanged: what is known and cannot have changed, so that it was not asked for again.
        missed: what could not be seen this time (throttling, network), with the reason; it counts as it was.
        lacking: APIs that the installed SDK does not know.
    """

    pieces: list[Piece] = field(default_factory=list)
    complete: set[tuple[str, str]] = field(default_factory=set)
    unchanged: set[Key] = field(default_factory=set)
    missed: dict[Key, str] = field(default_factory=dict)
    lacking: set[str] = field(default_factory=set)

    def present(
        self,
        resource_type: str,
        arn: str,
        aspect: str,
        name: str | None,
        document: Any,
        conditions: Collection[str] = (),
    ) -> None:
        """Note a document, in any form that boto3 gives it."""
        text = canonical.text(document, aspect, conditions)
        self.pieces.append(Piece(resource_type, arn, aspect, name, PRESENT, text, canonical.sha256(text)))

    def unreadable(self, resource_type: str, arn: str, aspect: str, name: str | None, reason: str) -> None:
        """Note that something may not be read."""
        self.pieces.append(Piece(resource_type, arn, aspect, name, UNREADABLE, None, None, reason))

    def add(self, other: "Capture") -> None:
        self.pieces += other.pieces
        self.complete |= other.complete
        self.unchanged |= other.unchanged
        self.missed |= other.missed
        self.lacking |= other.lacking

    def reasons(self) -> list[str]:
        """Why the look was not complete, for `source_statement`, sorted."""
        found = {f"unreadable: {piece.reason}" for piece in self.pieces if piece.status == UNREADABLE}
        found |= {f"missed: {reason}" for reason in self.missed.values()}
        return sorted(found | {f"not known to the installed SDK: {name}" for name in self.lacking})
