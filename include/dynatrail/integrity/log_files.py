"""Judge log files by the digests: is each one genuine, and is each one there?"""

from collections.abc import Collection, Mapping
from datetime import datetime

import pyarrow as pa

from dynatrail.integrity.digests import Named, Verified
from dynatrail.integrity.words import FileStatus
from dynatrail.warehouse.schema.columns import INSTANT

KNOWN = pa.schema(
    [
        pa.field("source_uri", pa.string(), nullable=False),
        pa.field("account_id", pa.string(), nullable=False),
        pa.field("region", pa.string(), nullable=False),
        pa.field("delivered_at", INSTANT, nullable=False),
        pa.field("written_at", INSTANT),
        pa.field("present", pa.bool_(), nullable=False),
        pa.field("size", pa.int64()),
        pa.field("sha256", pa.string()),
        pa.field("first_member_sha256", pa.string()),
        pa.field("error", pa.string()),
        pa.field("records", pa.int64()),
    ]
)
"""What `judge` is given, a row for each address.

`delivered_at` by its name; `written_at` when it reached the bucket, where that is known (it then counts for whether its
window is closed); `present`: the listing shows it; `sha256` of the uncompressed bytes as they were parsed, NULL where
they could not be uncompressed (`error` says why: an `ObjectError`'s code) or were not read yet (`error` NULL);
`first_member_sha256`: of the first gzip member, where `error` is `several_gzip_members` or `trailing_bytes`.
"""


def judge(
    known: pa.Table,
    verified: Verified,
    *,
    since: datetime,
    until: datetime,
    listed: Collection[str],
) -> pa.Table:
    """Rows of `log_file`: one for each address that `known` has or that a valid digest names for [since, until).

    Args:
        known: files that bucket or ledger know, schema `KNOWN`, each address once, in any order.
        verified: the digests, read from before `since` to at least two hours after `until` as far as they are there.
        since: what was delivered since then was listed, and is judged.
        until: up to when.
        listed: what the addresses begin with that were listed (`Source.address`); what a digest names elsewhere was
            not looked for.
    """
    raise NotImplementedError


def attestation(named: Mapping[str, Named], uri: str, sha256: str | None) -> FileStatus:
    """What the rows of a file say while it is taken: the digests may not name it yet.

    `attested` or `altered` where a valid digest names it, else `not_yet_attested`; `judge` says the rest.
    """
    raise NotImplementedError
