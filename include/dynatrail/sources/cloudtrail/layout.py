"""Where CloudTrail puts log files ("CloudTrail log file examples" and "Organization trails", CloudTrail user guide).

`[prefix/]AWSLogs/[o-ORGID/]ACCOUNT/CloudTrail/REGION/YYYY/MM/DD/ACCOUNT_CloudTrail_REGION_YYYYMMDDTHHmmZ_UNIQUE.json.gz`

Date and time are those of delivery, UTC, so keys of one folder sort by delivery time and a window is a range of keys.

Digests lie beside them ("CloudTrail digest file structure"), one an hour for each trail, named by digestEndTime:

`…/CloudTrail-Digest/REGION/YYYY/MM/DD/ACCOUNT_CloudTrail-Digest_REGION_TRAIL_HOMEREGION_YYYYMMDDTHHmmSSZ[_backfill].json.gz`
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dynatrail.clock import DAY

LOGS, DIGESTS = "CloudTrail", "CloudTrail-Digest"
ACCOUNT = re.compile(r"\d{12}")
ORGANIZATION = re.compile(r"o-[a-z0-9]{10,32}")
_DIGEST = re.compile(r"\d{12}_CloudTrail-Digest_[a-z0-9-]+_.+_[a-z0-9-]+_(?P<time>\d{8}T\d{6})Z(_backfill)?\.json\.gz")
_NAME = re.compile(r"(?P<account>\d{12})_CloudTrail_(?P<region>[a-z0-9-]+)_(?P<time>\d{8}T\d{4})Z_\w+\.json\.gz")


@dataclass(frozen=True, slots=True, order=True)
class Folder:
    """The log files of one account and region; `root` ends with `ACCOUNT/CloudTrail/REGION/`."""

    account_id: str
    region: str
    root: str

    def listings(self, start: datetime, end: datetime) -> Iterator[tuple[str, str]]:
        """(Prefix, StartAfter) pairs that list what was delivered from `start` to the end of the last day touched."""
        day = start.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        while day < end:
            prefix = f"{self.root}{day:%Y/%m/%d}/"
            after = f"{prefix}{self.account_id}_CloudTrail_{self.region}_{start:%Y%m%dT%H%M}" if day < start else ""
            yield prefix, after
            day += DAY

    def delivered_at(self, key: str) -> datetime | None:
        """The delivery time that the object's name gives, or None where the name is not CloudTrail's."""
        found = _NAME.fullmatch(key.rpartition("/")[2])
        if not found or (found["account"], found["region"]) != (self.account_id, self.region):
            return None
        try:
            return datetime.strptime(found["time"], "%Y%m%dT%H%M").replace(tzinfo=UTC)
        except ValueError:
            return None

    @property
    def digests(self) -> str:
        """The folder of the digests of the same account and region."""
        above, _, region, _ = self.root.rsplit("/", 3)
        return f"{above}/{DIGESTS}/{region}/"

    def digest_days(self, start: datetime, end: datetime) -> Iterator[str]:
        """The prefixes of all days that hold digests that ended in [start, end]."""
        day = start.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        while day <= end:
            yield f"{self.digests}{day:%Y/%m/%d}/"
            day += DAY


def digest_ended_at(key: str) -> datetime | None:
    """The digestEndTime that a digest's name gives, or None where the name is not CloudTrail's."""
    found = _DIGEST.fullmatch(key.rpartition("/")[2])
    try:
        return datetime.strptime(found["time"], "%Y%m%dT%H%M%S").replace(tzinfo=UTC) if found else None
    except ValueError:
        return None


def folder_day(key: str) -> datetime:
    """The day of the folder that an object with a foreign name lies in; the epoch where even that is not a date."""
    try:
        return datetime.strptime("/".join(key.split("/")[-4:-1]), "%Y/%m/%d").replace(tzinfo=UTC)
    except ValueError:
        return datetime(1970, 1, 1, tzinfo=UTC)


MARGIN = timedelta(hours=1)
"""Events reach S3 after about 5 minutes, 10 at the worst measured: an interval's last ones come this soon after it."""
