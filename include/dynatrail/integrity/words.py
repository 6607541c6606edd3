"""The words in which the proof speaks; each is a value of a column of `warehouse/schema/proof.py`."""

from enum import StrEnum


class FileStatus(StrEnum):
    """What is known of a log file (`log_file.status`; of its rows, `api_event.attestation`)."""

    ATTESTED = "attested"
    NOT_YET = "not_yet_attested"
    UNATTESTED = "unattested"
    FORGED = "forged"
    ALTERED = "altered"
    MISSING = "missing"


class DigestStatus(StrEnum):
    """What is known of a digest (`trail_digest.status`)."""

    VALID = "valid"
    INVALID = "invalid"
    MISSING = "missing"
    PENDING = "pending"
    UNREAD = "unread"


class Link(StrEnum):
    """How a digest hangs on the one before (`trail_digest.link`)."""

    LINKED = "linked"
    FIRST = "first"
    TRUNCATED_HEAD = "truncated_head"
    RESTARTED = "restarted"
    BROKEN = "broken"


class Selection(StrEnum):
    """What the trails select of a table's operation (`coverage.selection`)."""

    FULL = "FULL"
    PARTIAL = "PARTIAL"
    NONE = "NONE"
    UNKNOWN = "UNKNOWN"


class Statement(StrEnum):
    """What can be said of an hour (`coverage.statement`)."""

    COMPLETE = "complete"
    PROVISIONAL = "complete_provisional"
    INCOMPLETE = "incomplete"
    NOT_ASSESSABLE = "not_assessable"
