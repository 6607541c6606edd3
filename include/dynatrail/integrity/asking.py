"""What verification asks AWS: the public keys of a region, and whether a trail is logging.

Neither is needed: a refusal becomes a warning, and what cannot be known without it says so in its row.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from botocore.exceptions import BotoCoreError, ClientError

from dynatrail.errors import SourceError
from dynatrail.integrity.keys import Keys
from dynatrail.integrity.trail_facts import TrailFacts
from dynatrail.settings import Settings
from dynatrail.sources import targets
from dynatrail.sources.aws import client, client_for, explain

_AROUND = timedelta(days=1)


def public_keys(settings: Settings, connections: Sequence[str], region: str, start: datetime, end: datetime) -> Keys:
    """The keys that CloudTrail signed the digests of a region with in a span of time.

    Args:
        settings: names the connection that an empty name stands for.
        connections: Airflow connections, the first of which is asked; none where only copies of buckets are read.
        region: whose digests they are for.
        start: begin of the span.
        end: its end.

    Raises:
        SourceError: AWS does not say; what to do about it.
    """
    if not connections:
        raise SourceError(
            f"Digests of {region} lie in a copy, and nobody vouches for the keys that signed them: their log files "
            "are not attested. `python -m dynatrail verify-logs --keys FILE` verifies a copy with AWS's list of keys."
        )
    found = []
    try:
        cloudtrail = client("cloudtrail", connections[0] or settings.aws_conn_id, region)
        pages = cloudtrail.get_paginator("list_public_keys")
        for page in pages.paginate(StartTime=start - _AROUND, EndTime=end + _AROUND):
            found += page.get("PublicKeyList", ())
    except (ClientError, BotoCoreError) as error:
        raise explain(error, f"list the public keys of CloudTrail in {region}") from error
    return Keys.of_aws(found)


def trail_facts(
    settings: Settings, trails: Iterable[tuple[str, str]], arns: Mapping[tuple[str, str], str]
) -> list[TrailFacts]:
    """What GetTrailStatus says of trails, given by (name, home region); of one that cannot be asked, that nothing is.

    Args:
        settings: how to get in.
        trails: which.
        arns: their ARNs, as far as they are known; another one is not asked for.
    """
    return [_facts(settings, name, home, arns.get((name, home))) for name, home in sorted(set(trails))]


def _facts(settings: Settings, name: str, home: str, arn: str | None) -> TrailFacts:
    unknown = TrailFacts(trail_name=name, home_region=home)
    if arn is None:
        return unknown
    try:
        status = client_for("cloudtrail", targets.at(settings, arn.split(":")[4], home), settings).get_trail_status(
            Name=arn
        )
    except (ClientError, BotoCoreError, SourceError):
        return unknown
    return TrailFacts(
        trail_name=name,
        home_region=home,
        is_logging=status.get("IsLogging"),
        latest_digest_delivery_time=status.get("LatestDigestDeliveryTime"),
    )
