"""The trails of the configuration: their log folders, what was delivered, and an object's bytes by its address.

Several buckets, prefixes and connections are one source: an object's address tells its trail, the ledger knows objects
by address, and one event that two trails delivered is one row.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from dynatrail import config
from dynatrail.config import Trail
from dynatrail.errors import SettingsError, SourceError
from dynatrail.settings import Settings
from dynatrail.sources.cloudtrail import layout
from dynatrail.sources.cloudtrail.bucket import Bucket, Content, open_bucket, root_of
from dynatrail.state.ledger import Ledger, SeenObject


@dataclass(frozen=True)
class Source:
    """One trail; its bucket is opened when something of it is asked for."""

    trail: Trail
    settings: Settings

    @cached_property
    def bucket(self) -> Bucket:
        return open_bucket(self.trail, self.settings)

    @property
    def address(self) -> str:
        """What the addresses of all its objects begin with."""
        return root_of(self.trail) + self.trail.base

    def folders(self) -> list[layout.Folder]:
        """The log folders of all accounts and regions in it, as far as the configuration asks for them.

        Raises:
            SourceError: there is none; the message says where was looked. Or the bucket cannot be read.
        """
        found = self._folders(layout.LOGS)
        if not found:
            raise SourceError(
                f"No CloudTrail log folder under {self.address}. Check the trail's prefix (its S3KeyPrefix; "
                "DYNATRAIL_TRAIL_PREFIX), accounts (DYNATRAIL_ACCOUNTS) and regions (DYNATRAIL_REGIONS); a new trail "
                "delivers its first file within 15 minutes."
            )
        return found

    def places(self, kind: str) -> list[layout.Folder]:
        """The accounts and regions that have log files (`layout.LOGS`) or digests (`layout.DIGESTS`); maybe none.

        Raises:
            SourceError: the bucket cannot be read.
        """
        return self._folders(kind)

    def wants(self, account_id: str, region: str) -> bool:
        """Whether the configuration asks for this account and region of it."""
        trail = self.trail
        return (not trail.accounts or account_id in trail.accounts) and (not trail.regions or region in trail.regions)

    def _folders(self, kind: str) -> list[layout.Folder]:
        wanted, base = self.trail.accounts, self.trail.base
        roots = [base]
        roots += [f"{base}{name}/" for name in self.bucket.folders(base) if layout.ORGANIZATION.fullmatch(name)]
        found = []
        for root in roots:
            for account in self.bucket.folders(root):
                if not layout.ACCOUNT.fullmatch(account) or (wanted and account not in wanted):
                    continue
                regions = self.bucket.folders(f"{root}{account}/{kind}/")
                found += [
                    layout.Folder(account, region, f"{root}{account}/{layout.LOGS}/{region}/")
                    for region in regions
                    if self.wants(account, region)
                ]
        return sorted(set(found))

    def delivered(self, ledger: Ledger, since: datetime, until: datetime) -> list[SeenObject]:
        """What was delivered in [since, until); after an outage, from where earlier runs had ended.

        Raises:
            SourceError: the bucket cannot be listed.
        """
        newest = ledger.newest_deliveries(self.address)
        return [
            seen
            for folder in self.folders()
            for seen in self.listed(folder, min(since, newest.get((folder.account_id, folder.region), since)), until)
        ]

    def listed(self, folder: layout.Folder, since: datetime, until: datetime) -> Iterator[SeenObject]:
        """What was delivered into one folder in [since, until); objects with foreign names or places by the day."""
        for prefix, after in folder.listings(since, until):
            day = layout.folder_day(prefix)
            here = (f"{day:%Y/%m/%d}", prefix)
            for listed in self.bucket.objects(prefix, after):
                delivered = folder.delivered_at(listed.key)
                if delivered is not None and (f"{delivered:%Y/%m/%d}", listed.key.rpartition("/")[0] + "/") != here:
                    delivered = None  # a name of CloudTrail's where CloudTrail does not put it tells no time
                if delivered is not None and delivered >= until:
                    break  # keys of one folder sort by time
                yield SeenObject(
                    uri=self.bucket.root + listed.key,
                    account_id=folder.account_id,
                    region=folder.region,
                    delivered_at=delivered or day,
                    size=listed.size,
                    etag=listed.etag,
                )


class Sources:
    """Every trail of the configuration.

    Raises:
        SettingsError: there is none.
    """

    def __init__(self, settings: Settings) -> None:
        self.all = tuple(Source(trail, settings) for trail in config.load(settings).trails)
        if not self.all:
            raise SettingsError(
                "No trail is named. Set DYNATRAIL_TRAIL_BUCKET, or trails in the configuration file, to the bucket "
                "that CloudTrail delivers to (`aws cloudtrail describe-trails --query "
                "'trailList[].S3BucketName'`), or to `file:///folder` with a copy."
            )

    def knows(self, uri: str) -> bool:
        """Whether the address lies in one of the trails; what waits in others waits until they are named again."""
        return any(uri.startswith(source.address) for source in self.all)

    def read(self, uri: str, *, limit: int) -> bytes:
        """One object's bytes.

        Raises:
            As `content`.
        """
        return self.content(uri, limit=limit).body

    def content(self, uri: str, *, limit: int) -> Content:
        """One object's bytes and metadata.

        Raises:
            SourceError: it cannot be read, or is of no trail that is named.
            ObjectError: `too_large` above `limit`, `missing` when it is gone.
        """
        for source in self.all:
            if uri.startswith(source.address):
                return source.bucket.content(uri.removeprefix(source.bucket.root), limit=limit)
        raise SourceError(f"{uri} is of no trail that the configuration names. Name its trail again, or leave it out.")
