"""What digests and log files make somebody look at."""

import pyarrow as pa

from dynatrail.integrity.digests import Verified
from dynatrail.integrity.findings import Finding

PRODUCER = "digests"


def find(verified: Verified, log_files: pa.Table) -> list[Finding]:
    """Findings of digests and log files, in the order of their rule, place and time.

    One cause is one finding: the files of a lost digest belong to it, not to themselves. A finding lies in the hour in
    which it began, which may be before the window that was asked for.

    Args:
        verified: the digests.
        log_files: rows of `log_file` that `log_files.judge` gave for them.
    """
    raise NotImplementedError
