"""What is planted against the trail itself: a forged log file, an hour without somebody's data events, a lost stream.

Each is an entry of the ground truth (`NAME.planted.json`) that a proof of the trail is judged by: it must name them
all, and nothing else. They happen on days without another incident.
"""

import gzip
import json
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dynatrail.clock import hour_of, iso, parse_instant
from dynatrail.sandbox.objects import S3Objects
from dynatrail.sandbox.scenarios import workloads
from dynatrail.sandbox.scenarios.house import BUCKET
from dynatrail.sandbox.scenarios.house_trails import SELECTORS
from dynatrail.sandbox.scenarios.practice import Practice
from dynatrail.sandbox.scenarios.script import Act, Cast
from dynatrail.sandbox.scenarios.stage import HOME, PRODUCTION, Actor
from dynatrail.sandbox.scenarios.truth import Planted
from dynatrail.sandbox.tampering import forge_log

Json = dict[str, Any]

LEAST = timedelta(days=3)
"""Shorter windows have nothing planted."""

_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)
_HIDDEN_FOR, _HIDDEN_ROUNDS = timedelta(minutes=64), 9
_FORGED_AFTER, _FORGED_RECORDS = timedelta(hours=18, minutes=43), 3
_STREAM_OFF_FOR, _LOST_BOOKINGS = timedelta(minutes=41), 8
_STREAM_TABLE = "Appointments"


def acts(start: datetime, end: datetime) -> Iterator[Act]:
    """Everything planted in [start, end): each wholly, or not at all where the window cuts it."""
    if end - start < LEAST - 2 * _HOUR:
        return

    def at(share: float, hour: float) -> datetime:
        return start.replace(hour=0) + int(share * ((end - start) / _DAY)) * _DAY + timedelta(hours=hour)

    for group in (_hiding(at(0.15, 17.97)), _forging(at(0.35, 15.3)), _without_stream(at(0.95, 13.15))):
        if group.begins >= start and group.acts[-1].at < end:
            yield from group.acts


@dataclass(frozen=True)
class _Group:
    """Acts that belong together, and the first instant that they concern."""

    begins: datetime
    acts: list[Act]


def _forging(at: datetime) -> _Group:
    """With somebody's access to the bucket, a log file is put into an hour of the day before, long since closed.

    Nothing in AWS records it here: no trail of the house selects the bucket's own data events.
    """
    delivered = at.replace(second=0, microsecond=0) - _FORGED_AFTER
    delivered -= timedelta(minutes=delivered.minute % 5)
    return _Group(delivered - 3 * _HOUR, [Act(at, lambda cast: forge(cast.practice, delivered))])


def forge(practice: Practice, delivered: datetime) -> None:
    """Say of somebody that they opened patients' files that evening, in a file with a name as CloudTrail gives it."""
    sandbox = practice.stage.sandbox
    sandbox.deliver(practice.stage.now)
    bucket = S3Objects(BUCKET, sandbox.direct("s3", PRODUCTION, HOME))
    place = f"/{PRODUCTION}/CloudTrail/{HOME}/"
    logs = next(key for key in bucket.listing() if place in key).partition(place)[0] + place
    models = [
        record
        for key in bucket.listing(f"{logs}{delivered:%Y/%m/%d}/")
        for record in json.loads(gzip.decompress(bucket.read(key).body))["Records"]
        if record["eventName"] in {"GetItem", "BatchGetItem"}
        and "errorCode" not in record
        and parse_instant(record["eventTime"]) < delivered
    ]
    newest = sorted(models, key=lambda record: (record["eventName"] == "GetItem", record["eventTime"]))
    chance = random.Random(f"forged {iso(delivered)}")
    made = []
    for number, model in enumerate(newest[-_FORGED_RECORDS:]):
        made.append(
            {
                **{name: value for name, value in model.items() if name != "addendum"},
                "eventTime": iso(delivered - timedelta(minutes=6) + number * timedelta(seconds=7)),
                "eventID": str(uuid.UUID(int=chance.getrandbits(128), version=4)),
                "requestID": f"{chance.getrandbits(128):026X}"[:26] + model["requestID"][26:],
            }
        )
    key = forge_log(bucket, logs, delivered, made, random=chance)
    practice.stage.plant(
        Planted(
            id="forged-file",
            kind="log_file_forged",
            title="A log file that CloudTrail never wrote lies in a closed hour",
            account_id=PRODUCTION,
            region=HOME,
            starts_at=iso(hour_of(delivered)),
            ends_at=iso(hour_of(delivered) + _HOUR),
            principal_arn=made[-1]["userIdentity"]["arn"],
            tables=sorted({resource["ARN"] for record in made for resource in record["resources"]}),
            addresses=[f"s3://{BUCKET}/{key}"],
            event_ids=[record["eventID"] for record in made],
            counts={"records": len(made)},
        )
    )


class _Hidden:
    """The administrator's session, and what must be put back and written down at its end."""

    def __init__(self) -> None:
        self.since: datetime
        self.event_ids: list[str] = []
        self.actor: Actor

    def narrow(self, cast: Cast) -> None:
        """Take all data events of oneself out of the trail."""
        practice = cast.practice
        self.actor = practice.stage.sign_in_to_console(practice.actors["marta.dba"])
        without = {"Field": "userIdentity.arn", "NotEquals": [self.actor.chain[0]]}
        self.since = practice.stage.now
        self._put(
            practice,
            [
                one if one["Name"] == "Management" else {**one, "FieldSelectors": [*one["FieldSelectors"], without]}
                for one in SELECTORS
            ],
        )

    def work(self, cast: Cast) -> None:
        """Read patients' files, and change an invoice."""
        practice, stage = cast.practice, cast.practice.stage
        for patient in practice.random.sample(practice.patients, 2):
            stage.call(self.actor, "GetItem", TableName="Patients", Key={"patient_id": {"S": patient}})
        stage.call(
            self.actor,
            "Query",
            TableName="Appointments",
            KeyConditionExpression="clinic_id = :c",
            ExpressionAttributeValues={":c": {"S": "south"}},
            Limit=10,
        )
        stage.call(
            self.actor,
            "UpdateItem",
            TableName="Invoices",
            Key={"invoice_number": {"N": str(practice.new_invoice())}},
            UpdateExpression="SET amount = :a, patient = :p",
            ExpressionAttributeValues={":a": {"N": "1.00"}, ":p": {"S": "corrected"}},
        )

    def restore(self, cast: Cast) -> None:
        """Put the selectors back as they were."""
        stage = cast.practice.stage
        until = stage.now
        self._put(cast.practice, list(SELECTORS))
        hidden = stage.hidden
        stage.plant(
            Planted(
                id="hidden-hour",
                kind="selectors_narrowed",
                title="An administrator's data events are excluded from the trail for an hour of their work",
                account_id=PRODUCTION,
                region=HOME,
                starts_at=iso(self.since.replace(microsecond=0)),
                ends_at=iso(until.replace(microsecond=0)),
                principal_arn=self.actor.chain[0],
                actor=self.actor.name,
                tables=sorted({table for _, _, table, _ in hidden}),
                addresses=[cast.practice.trail_arn],
                event_ids=self.event_ids,
                counts={
                    "requests": sum(hidden.values()),
                    "by_operation": [
                        {"account_id": account, "region": region, "table_arn": table, "operation": name, "requests": n}
                        for (account, region, table, name), n in sorted(hidden.items())
                    ],
                },
            )
        )

    def _put(self, practice: Practice, selectors: list[Json]) -> None:
        practice.stage.call(
            self.actor,
            "PutEventSelectors",
            service="cloudtrail",
            TrailName=practice.trail_arn,
            AdvancedEventSelectors=selectors,
        )
        self.event_ids += practice.stage.last_event_ids


def _hiding(at: datetime) -> _Group:
    """A whole hour, with some minutes on either side."""
    hidden = _Hidden()
    rounds = [at + _HIDDEN_FOR * (number + 1) / (_HIDDEN_ROUNDS + 1) for number in range(_HIDDEN_ROUNDS)]
    return _Group(
        at,
        [Act(at, hidden.narrow), *(Act(one, hidden.work) for one in rounds), Act(at + _HIDDEN_FOR, hidden.restore)],
    )


class _Stream:
    """A table's stream while it is switched off."""

    def __init__(self) -> None:
        self.since: datetime
        self.before = ""
        self.event_ids: list[str] = []

    def off(self, cast: Cast) -> None:
        """A deployment changes the stream's view type, for which it must be switched off, and forgets the rest."""
        self.before = self._update(cast, {"StreamEnabled": False})
        self.since = cast.practice.stage.now  # the instant of the call

    def on(self, cast: Cast) -> None:
        """Somebody notices."""
        stage = cast.practice.stage
        after = self._update(cast, {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"})
        until = stage.now
        stage.plant(
            Planted(
                id="lost-stream",
                kind="stream_replaced",
                title="A table's stream was switched off while the table was written to",
                account_id=PRODUCTION,
                region=HOME,
                starts_at=iso(self.since.replace(microsecond=0)),
                ends_at=iso(until.replace(microsecond=0)),
                actor=cast.practice.actors["deploy"].name,
                tables=[_arn(_STREAM_TABLE)],
                addresses=[self.before, after],
                event_ids=self.event_ids,
                counts={"changes": stage.changes_between(_arn(_STREAM_TABLE), self.since, until)},
            )
        )

    def _update(self, cast: Cast, specification: Json) -> str:
        """The ARN of the stream that the table had or has."""
        stage = cast.practice.stage
        build = workloads.start_build(cast.practice)
        stage.call(build, "UpdateTable", TableName=_STREAM_TABLE, StreamSpecification=specification, pause=(0, 0))
        self.event_ids += stage.last_event_ids
        described = stage.sandbox.direct("dynamodb", PRODUCTION, HOME).describe_table(TableName=_STREAM_TABLE)
        return str(described["Table"]["LatestStreamArn"])


def _without_stream(at: datetime) -> _Group:
    stream = _Stream()
    bookings = [at + _STREAM_OFF_FOR * (number + 1) / (_LOST_BOOKINGS + 1) for number in range(_LOST_BOOKINGS)]
    return _Group(
        at,
        [
            Act(at, stream.off),
            *(Act(one, lambda cast: workloads.book(cast.practice, cast.booking_api())) for one in bookings),
            Act(at + _STREAM_OFF_FOR, stream.on),
        ],
    )


def _arn(table: str) -> str:
    return f"arn:aws:dynamodb:{HOME}:{PRODUCTION}:table/{table}"
