"""What IAM Access Analyzer finds about tables and streams: who outside may reach them, which access nobody uses."""

from collections.abc import Mapping

from dynatrail.sources.iam import aspects
from dynatrail.sources.snapshots import gather
from dynatrail.sources.snapshots.asking import Asker
from dynatrail.sources.snapshots.pieces import PRESENT, Capture, Key
from dynatrail.sources.snapshots.questions import Resource
from dynatrail.sources.snapshots.versions import Known

_FILTER = {"resourceType": {"eq": aspects.DYNAMODB_RESOURCES}}


def look(asker: Asker, known: Mapping[Key, Known]) -> Capture:
    """Analyzers and their findings about DynamoDB, in all regions of the account."""
    capture, whole = Capture(), True
    for region in asker.target.account.regions:
        answer = asker.ask(aspects.LIST_ANALYZERS, region=region)
        arn = f"arn:{asker.partition}:access-analyzer:{region}:{asker.target.account_id}:*"
        if answer.kind != "found":
            gather.take(capture, answer, Resource(aspects.ANALYZER, arn, None), "ListAnalyzers")
            whole = False
            continue
        for analyzer in answer.value:
            kept = {name: value for name, value in analyzer.items() if not name.startswith("lastResource")}
            capture.present(aspects.ANALYZER, analyzer["arn"], "ListAnalyzers", analyzer.get("name"), kept)
            whole &= _findings(asker, capture, analyzer["arn"], region, known)
    if whole:
        gather.mark_complete(capture, aspects.ANALYZER, ["ListAnalyzers"])
        gather.mark_complete(capture, aspects.FINDING, ["ListFindingsV2", "GetFindingV2"])
    return capture


def _findings(asker: Asker, capture: Capture, analyzer: str, region: str, known: Mapping[Key, Known]) -> bool:
    answer = asker.ask(aspects.LIST_FINDINGS, {"analyzerArn": analyzer, "filter": _FILTER}, region=region)
    if answer.kind != "found":
        gather.take(capture, answer, Resource(aspects.FINDING, f"{analyzer}/finding/*", None), "ListFindingsV2")
        return False
    for finding in answer.value:
        resource = Resource(aspects.FINDING, f"{analyzer}/finding/{finding['id']}", finding.get("resource"))
        capture.present(resource.type, resource.arn, "ListFindingsV2", resource.name, finding)
        was, detail = known.get((resource.arn, "ListFindingsV2")), known.get((resource.arn, "GetFindingV2"))
        if was and detail and (was.sha256, detail.status) == (capture.pieces[-1].sha256, PRESENT):
            capture.unchanged.add((resource.arn, "GetFindingV2"))
            continue
        told = asker.pages(aspects.GET_FINDING, {"analyzerArn": analyzer, "id": finding["id"]}, region=region)
        if told.kind == "found":
            details = [one for page in told.value for one in page.get("findingDetails") or ()]
            capture.present(resource.type, resource.arn, "GetFindingV2", resource.name, details)
        else:
            gather.take(capture, told, resource, "GetFindingV2")
    return True
