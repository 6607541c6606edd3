"""One look at the configuration of one region of one account."""

from dataclasses import asdict
from datetime import datetime, timedelta

from dynatrail.config import Target
from dynatrail.settings import Settings
from dynatrail.sources import targets
from dynatrail.sources.configuration import tables, trails
from dynatrail.sources.snapshots import versions, write
from dynatrail.sources.snapshots.asking import Asker
from dynatrail.sources.snapshots.versions import Place, SupersededError
from dynatrail.sources.snapshots.write import Summary

PERIOD = timedelta(hours=6)
SNAPSHOTS = ("table_config", "trail_config")


def discover(settings: Settings) -> list[int]:
    """Numbers of the account-regions to look at, in the order of the configuration.

    Raises:
        SettingsError, SourceError: see `targets.of`.
    """
    return list(range(len(targets.of(settings))))


def capture(settings: Settings, number: int, captured_at: datetime) -> Summary:
    """Look at one account-region and write what differs from what was known before `captured_at`.

    Raises:
        SourceError: something could not be asked because of throttling or the network; all else has landed.
        QualityError: an expectation stopped the rows.
    """
    target = targets.of(settings)[number]
    return _capture(settings, target, captured_at)


def _capture(settings: Settings, target: Target, captured_at: datetime) -> Summary:
    places = {name: Place(name, target.account_id, target.region) for name in SNAPSHOTS}
    try:
        known = {name: versions.before(place, captured_at) for name, place in places.items()}
    except SupersededError as error:
        return Summary(warnings=[str(error)])
    asker = Asker(settings, target)
    of_tables, keys = tables.look(asker, known["table_config"])
    of_trails = trails.look(asker, known["trail_config"], of_tables, keys)
    seen = {"table_config": of_tables, "trail_config": of_trails}
    summaries = [write.keep(settings, seen[name], known[name], places[name], captured_at) for name in SNAPSHOTS]
    whole = Summary(**write.total(asdict(one) for one in summaries))
    write.state_source(settings, "configuration", places["table_config"], captured_at, list(seen.values()), whole.rows)
    write.complain(whole, f"the configuration of {target.account_id} in {target.region}")
    return whole
