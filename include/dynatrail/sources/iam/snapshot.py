"""One look at the identities of one account."""

from dataclasses import asdict
from datetime import datetime, timedelta

from dynatrail.config import Account, Target
from dynatrail.privacy.tokens import Tokenizer, load_key
from dynatrail.settings import Settings
from dynatrail.sources import targets
from dynatrail.sources.iam import (
    access_analyzer,
    aspects,
    authorization,
    credential_report,
    identity_center,
    last_accessed,
)
from dynatrail.sources.snapshots import gather, versions, write
from dynatrail.sources.snapshots.asking import Asker
from dynatrail.sources.snapshots.pieces import Capture
from dynatrail.sources.snapshots.questions import Resource
from dynatrail.sources.snapshots.versions import Place, SupersededError
from dynatrail.sources.snapshots.write import Summary

PERIOD = timedelta(days=1)
REGION = "global"


def discover(settings: Settings) -> list[int]:
    """Numbers of the accounts to look at, in the order of the configuration.

    Raises:
        SettingsError, SourceError: see `targets.of`.
    """
    return list(range(len(_accounts(settings))))


def capture(settings: Settings, number: int, captured_at: datetime) -> Summary:
    """Look at one account and write what differs from what was known before `captured_at`.

    Raises:
        SourceError: something could not be asked because of throttling or the network; all else has landed.
        QualityError: an expectation stopped the rows.
    """
    account = _accounts(settings)[number]
    place = Place("iam_snapshot", account.id, REGION)
    try:
        known = versions.before(place, captured_at)
    except SupersededError as error:
        return Summary(warnings=[str(error)])
    asker = Asker(settings, Target(account, account.regions[0]))
    seen = Capture()
    identities, details = authorization.look(asker)
    seen.add(identities)
    if details is not None:
        seen.add(last_accessed.look(asker, sorted(authorization.reaching_dynamodb(details))))
    seen.add(credential_report.look(asker))
    seen.add(_account(asker))
    for listing in aspects.IAM_LISTINGS:
        seen.add(gather.listed(asker, listing, known, gather.everything_of("iam", asker)))
    seen.add(identity_center.look(asker, Tokenizer(load_key(settings))))
    seen.add(access_analyzer.look(asker, known))
    summary = write.keep(settings, seen, known, place, captured_at)
    write.state_source(settings, "iam", place, captured_at, [seen], summary.rows)
    write.complain(summary, f"the identities of {account.id}")
    return Summary(**write.total([asdict(summary)]))


def _account(asker: Asker) -> Capture:
    arn = f"arn:{asker.partition}:iam::{asker.target.account_id}:root"
    return gather.about(asker, Resource(aspects.ACCOUNT, arn, None), aspects.ACCOUNT_ASPECTS) or Capture()


def _accounts(settings: Settings) -> list[Account]:
    found: dict[str, Account] = {}
    for target in targets.of(settings):
        found.setdefault(target.account_id, target.account)
    return list(found.values())
