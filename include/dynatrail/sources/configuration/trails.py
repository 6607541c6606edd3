"""How the trails of one account are configured: selectors, bucket, keys, and the alarms of the region.

A trail is looked at where it is at home; if that region is not one of the account's, in the first that is. So a trail
of many regions has its rows once. Its bucket and key may belong to another account, which then says what may be read.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from dynatrail.sources.configuration import aspects
from dynatrail.sources.snapshots import gather
from dynatrail.sources.snapshots.asking import Asker
from dynatrail.sources.snapshots.pieces import UNREADABLE, Capture, Key
from dynatrail.sources.snapshots.questions import Resource
from dynatrail.sources.snapshots.versions import Known

Json = dict[str, Any]


def look(asker: Asker, known: Mapping[Key, Known], of_tables: Capture, keys: Iterable[str]) -> Capture:
    """Everything about trails, and about `keys`, those that the tables of that other look use."""
    capture = Capture()
    for listing in aspects.TRAIL_LISTINGS:
        capture.add(
            gather.listed(asker, listing, known, gather.everything_of(listing.of.split("::")[1].lower(), asker))
        )
    used = set(keys)
    answer = asker.ask(aspects.DESCRIBE_TRAILS, {"includeShadowTrails": True})
    if answer.kind == "found":
        own = [trail for trail in answer.value or () if _is_own(trail, asker)]
        tagged = ("DescribeTrails", "ListTags", *gather.names(aspects.TRAIL_ASPECTS, aspects.TRAIL))
        gather.mark_complete(capture, aspects.TRAIL, tagged)
        gather.mark_complete(capture, aspects.BUCKET, gather.names(aspects.TRAIL_ASPECTS, aspects.BUCKET))
        for trail in own:
            capture.add(_trail(asker, trail))
        for bucket in sorted({str(trail["S3BucketName"]) for trail in own if trail.get("S3BucketName")}):
            found = _bucket(asker, bucket)
            used |= _keys_in(found)
            capture.add(found)
        used |= {str(trail["KmsKeyId"]) for trail in own if trail.get("KmsKeyId")}
    else:
        whole = Resource(aspects.TRAIL, gather.everything_of("cloudtrail", asker), None)
        gather.take(capture, answer, whole, "DescribeTrails")
        capture.unchanged |= {key for key, was in known.items() if was.resource_type == aspects.BUCKET}
    if all(_sees(one, names) for one, names in ((of_tables, _OF_TABLES), (capture, _OF_TRAILS))):
        gather.mark_complete(capture, aspects.KEY, gather.names(aspects.TRAIL_ASPECTS, aspects.KEY))
    resources = [_key(arn) for arn in sorted(used)]
    for one in gather.side_by_side(lambda key: gather.about(asker, key, aspects.TRAIL_ASPECTS), resources):
        capture.add(one or Capture())
    return capture


_OF_TABLES = frozenset({"ListTables", "DescribeTable"})
_OF_TRAILS = frozenset({"DescribeTrails", "GetBucketEncryption"})


def _sees(capture: Capture, aspects_of: frozenset[str]) -> bool:
    """Whether all that names keys could be read: only then a key that is not named any more is gone from here."""
    hidden = {piece.aspect for piece in capture.pieces if piece.status == UNREADABLE}
    return not aspects_of & (hidden | {aspect for _, aspect in capture.missed})


def _is_own(trail: Json, asker: Asker) -> bool:
    home, regions = trail.get("HomeRegion"), asker.target.account.regions
    return asker.target.region == (home if home in regions else regions[0])


def _trail(asker: Asker, trail: Json) -> Capture:
    capture = Capture()
    resource = Resource(aspects.TRAIL, trail["TrailARN"], trail.get("Name"), region=trail.get("HomeRegion"))
    capture.present(resource.type, resource.arn, "DescribeTrails", resource.name, trail)
    sides = gather.about(asker, resource, aspects.TRAIL_ASPECTS)
    if sides is None:
        return Capture()
    capture.add(sides)
    tags = asker.ask(aspects.LIST_TRAIL_TAGS, {"ResourceIdList": [resource.arn]}, region=resource.region)
    gather.take(capture, tags, resource, "ListTags")
    return capture


def _bucket(asker: Asker, name: str) -> Capture:
    resource = Resource(aspects.BUCKET, f"arn:{asker.partition}:s3:::{name}", name)
    return gather.about(asker, resource, aspects.TRAIL_ASPECTS) or Capture()


def _keys_in(capture: Capture) -> set[str]:
    """ARNs of the keys that the bucket encrypts with by default."""
    text = " ".join(piece.document or "" for piece in capture.pieces if piece.aspect == "GetBucketEncryption")
    return set(re.findall(r'"KMSMasterKeyID":"(arn:[^"]+)"', text))


def _key(arn: str) -> Resource:
    parts = arn.split(":")
    region = parts[3] if arn.startswith("arn:") and len(parts) > 5 else None  # noqa: PLR2004
    return Resource(aspects.KEY, arn, parts[-1].removeprefix("key/"), region=region)
