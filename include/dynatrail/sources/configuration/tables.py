"""How the tables of one account and region are configured, and what saves, scales, streams and shares them."""

from collections.abc import Mapping
from typing import Any

from dynatrail.sources.configuration import aspects
from dynatrail.sources.snapshots import gather
from dynatrail.sources.snapshots.asking import Asker
from dynatrail.sources.snapshots.pieces import PRESENT, Capture, Key
from dynatrail.sources.snapshots.questions import Resource
from dynatrail.sources.snapshots.versions import Known

Json = dict[str, Any]
_PLAN = "AWS::Backup::BackupPlan"
_SELECTION = "AWS::Backup::BackupSelection"
_TARGET = "AWS::ApplicationAutoScaling::ScalableTarget"


def look(asker: Asker, known: Mapping[Key, Known]) -> tuple[Capture, set[str]]:
    """Everything about the tables that the configuration names; and the ARNs of the KMS keys that they use."""
    capture = Capture()
    scaled = {str(was.resource_name) for was in known.values() if was.resource_type == _TARGET}
    for listing in aspects.TABLE_LISTINGS:
        found = gather.listed(asker, listing, known, gather.everything_of(listing.api.service, asker))
        capture.add(found)
        if (_TARGET, listing.name) in found.complete:
            scaled = {str(piece.resource_name) for piece in found.pieces}
        elif (_PLAN, listing.name) in found.complete:
            capture.add(_selections(asker, found))
    keys = set[str]()
    capture.add(_tables(asker, known, scaled, keys))
    return capture, keys


def _tables(asker: Asker, known: Mapping[Key, Known], scaled: set[str], keys: set[str]) -> Capture:
    capture = Capture()
    answer = asker.ask(aspects.LIST_TABLES)
    if answer.kind != "found":
        whole = Resource(aspects.TABLE, gather.everything_of("dynamodb", asker), None)
        gather.take(capture, answer, whole, aspects.LIST_TABLES.operation)
        return capture
    first = ("ListTables", "DescribeTable", "ListTagsOfResource")
    gather.mark_complete(capture, aspects.TABLE, (*first, *gather.names(aspects.TABLE_ASPECTS, aspects.TABLE)))
    gather.mark_complete(capture, aspects.STREAM, gather.names(aspects.TABLE_ASPECTS, aspects.STREAM))
    wanted = [name for name in answer.value if asker.target.wants(name)]
    for one, key in gather.side_by_side(lambda name: _table(asker, name, known, scaled), wanted):
        capture.add(one)
        keys |= {key} if key else set()
    return capture


def _table(asker: Asker, name: str, known: Mapping[Key, Known], scaled: set[str]) -> tuple[Capture, str | None]:
    """Everything about one table, and the ARN of its KMS key; nothing of one that is gone or not meant."""
    capture, target = Capture(), asker.target
    arn = f"arn:{asker.partition}:dynamodb:{target.region}:{target.account_id}:table/{name}"
    table = Resource(aspects.TABLE, arn, name)
    tags = asker.ask(aspects.LIST_TAGS, {"ResourceArn": arn})
    if target.account.tags and tags.kind not in {"found", "gone"}:
        # Whether the table is meant is not known, so what is known of it stays as it is.
        capture.unchanged |= _of_table(known, arn)
        gather.take(capture, tags, table, "ListTagsOfResource")
        return capture, None
    if tags.kind == "gone" or not _tagged(tags.value, target.account.tags):
        return capture, None
    answer = asker.ask(aspects.DESCRIBE_TABLE, {"TableName": name})
    if answer.kind == "gone":
        return capture, None
    gather.take(capture, answer, table, "DescribeTable", ["scaled"] if _is_scaled(name, scaled) else [])
    gather.take(capture, tags, table, "ListTagsOfResource")
    described: Json = answer.value or {}
    if answer.kind != "found":
        # Which stream and replicas it has is not known either.
        capture.unchanged |= _of_table(known, f"{arn}/stream/")
    table = Resource(aspects.TABLE, arn, name, {"replicas": described.get("Replicas")})
    sides = gather.about(asker, table, aspects.TABLE_ASPECTS)
    if sides is None:
        return Capture(), None
    capture.add(sides)
    if (described.get("StreamSpecification") or {}).get("StreamEnabled"):
        stream = Resource(aspects.STREAM, described["LatestStreamArn"], name)
        capture.add(gather.about(asker, stream, aspects.TABLE_ASPECTS) or Capture())
    return capture, (described.get("SSEDescription") or {}).get("KMSMasterKeyArn")


def _of_table(known: Mapping[Key, Known], start: str) -> set[Key]:
    return {key for key in known if key[0] == start or key[0].startswith(f"{start.removesuffix('/')}/")}


def _tagged(tags: list[Json] | None, wanted: Mapping[str, str]) -> bool:
    if not wanted:
        return True
    return wanted.items() <= {tag["Key"]: tag["Value"] for tag in tags or ()}.items()


def _is_scaled(name: str, scaled: set[str]) -> bool:
    """Whether auto scaling sets capacity of the table or of one of its indexes (`table/NAME[/index/INDEX]`)."""
    return any(one == f"table/{name}" or one.startswith(f"table/{name}/") for one in scaled)


def _selections(asker: Asker, plans: Capture) -> Capture:
    """What each backup plan is assigned to: without that, a plan saves nothing."""
    capture = Capture()
    gather.mark_complete(capture, _SELECTION, ["GetBackupSelection", "ListBackupSelections"])
    for plan in plans.pieces:
        if plan.status != PRESENT or plan.aspect != "ListBackupPlans":
            continue
        plan_id = plan.resource_arn.rsplit(":", 1)[-1]
        listed = asker.ask(aspects.BACKUP_SELECTIONS, {"BackupPlanId": plan_id})
        whole = Resource(_SELECTION, f"{plan.resource_arn}/selection/*", plan.resource_name)
        if listed.kind != "found":
            gather.take(capture, listed, whole, "ListBackupSelections")
            capture.complete.clear()
            continue
        for one in listed.value:
            selection = Resource(_SELECTION, f"{plan.resource_arn}/selection/{one['SelectionId']}", plan.resource_name)
            parameters = {"BackupPlanId": plan_id, "SelectionId": one["SelectionId"]}
            gather.take(capture, asker.ask(aspects.BACKUP_SELECTION, parameters), selection, "GetBackupSelection")
    return capture
