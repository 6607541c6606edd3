"""What CloudWatch watches in the practice: alarms, the programs' log groups, Contributor Insights of one table.

The programs' own log lines hold personal data, as such lines do; all of it is invented.
"""

import hashlib
import json
import random
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from dynatrail.clock import iso
from dynatrail.sandbox.identities import Caller
from dynatrail.sandbox.sandbox import PRODUCTION, Sandbox

Json = dict[str, Any]

BOOKING_LOG = "/aws/lambda/booking-api"
BILLING_LOG = "/ecs/billing-job"
WATCHED_KEYS = "Patients"
_HOME = "us-east-1"
_UNRECORDED = Caller(recorded=False)
_TOPIC = f"arn:aws:sns:{_HOME}:{PRODUCTION}:security-alerts"

LOG_FILTERS = (
    {"name": "booking failures", "log_group": BOOKING_LOG, "pattern": "?ERROR ?WARNING", "regions": [_HOME]},
    {"name": "open invoices", "log_group": BILLING_LOG, "pattern": "WARN", "regions": [_HOME]},
)
"""What a pipeline should take of these logs, in the form of the configuration file."""

ALARMS: tuple[Json, ...] = (
    {
        "AlarmName": "patients-read-one-by-one",
        "AlarmDescription": "Many patient files opened within five minutes",
        "MetricName": "SuccessfulRequestLatency",
        "Dimensions": [{"Name": "Operation", "Value": "GetItem"}, {"Name": "TableName", "Value": "Patients"}],
        "Statistic": "SampleCount",
        "Threshold": 25.0,
    },
    {
        "AlarmName": "patients-scanned",
        "AlarmDescription": "Many patients returned by scans within five minutes",
        "MetricName": "ReturnedItemCount",
        "Dimensions": [{"Name": "Operation", "Value": "Scan"}, {"Name": "TableName", "Value": "Patients"}],
        "Statistic": "Sum",
        "Threshold": 20.0,
    },
    {
        "AlarmName": "dynamodb-user-errors",
        "AlarmDescription": "Requests refused: denied, invalid, or of tables that are not there",
        "MetricName": "UserErrors",
        "Statistic": "Sum",
        "Threshold": 4.0,
    },
    {
        "AlarmName": "appointments-throttled",
        "AlarmDescription": "The diary is short of throughput",
        "MetricName": "ThrottledRequests",
        "Dimensions": [{"Name": "Operation", "Value": "Query"}, {"Name": "TableName", "Value": "Appointments"}],
        "Statistic": "Sum",
        "Threshold": 1.0,
        "TreatMissingData": "missing",
    },
)
"""Each looks at five minutes, and treats idle ones as fine unless it says otherwise."""


def make_signals(sandbox: Sandbox) -> None:
    """The account root makes all this, unrecorded, like the rest of the house."""
    root = sandbox.root(PRODUCTION, _HOME)
    cloudwatch = sandbox.client("cloudwatch", root, caller=_UNRECORDED)
    common: Json = {
        "Namespace": "AWS/DynamoDB",
        "Period": 300,
        "EvaluationPeriods": 1,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "notBreaching",
        "AlarmActions": [_TOPIC],
    }
    for alarm in ALARMS:
        cloudwatch.put_metric_alarm(**{**common, **alarm})
    logs = sandbox.client("logs", root, caller=_UNRECORDED)
    for group in (BOOKING_LOG, BILLING_LOG):
        logs.create_log_group(logGroupName=group)
    logs.put_retention_policy(logGroupName=BOOKING_LOG, retentionInDays=90)
    sandbox.client("dynamodb", root, caller=_UNRECORDED).update_contributor_insights(
        TableName=WATCHED_KEYS, ContributorInsightsAction="ENABLE"
    )


class ProgramLog:
    """Writes the log of the practice's programs, one stream for each half day, as a fresh container would.

    What it makes up depends on the moment only, so that the scenario's own chance stays as it is without it.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._client = sandbox.client("logs", sandbox.root(PRODUCTION, _HOME), caller=_UNRECORDED)
        self._streams: set[tuple[str, str]] = set()

    def booking(self, began: datetime, ended: datetime, patient: str, error: str | None) -> None:
        """One invocation of the booking function: it names the patient, and complains when it fails."""
        chance = random.Random(f"booking {iso(began)}")
        request_id = f"{chance.getrandbits(128):032x}"
        request_id = "-".join(request_id[a:b] for a, b in ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32)))
        number = chance.randrange(10_000)
        told = {
            "level": "ERROR" if error else "INFO",
            "message": f"booking failed: {error}" if error else "booked",
            "request_id": request_id,
            "patient_id": patient,
            "email": f"patient{number}@example.com",
            "duration_ms": round((ended - began).total_seconds() * 1000),
        }
        lines = [(began, f"START RequestId: {request_id} Version: $LATEST\n")]
        if number % 7 == 0:
            phone = f"+1-555-01{number % 100:02d}"
            lines.append((began, f"[WARNING] {iso(began)} reminder not sent to {phone}, patient {patient}\n"))
        if number % 11 == 0:
            lines.append((ended, f"[ERROR] MailError: confirmation to patient{number}@example.com bounced\n"))
        lines.append((ended, json.dumps(told, ensure_ascii=False)))
        lines.append((ended, f"END RequestId: {request_id}\n"))
        duration = round((ended - began) / timedelta(milliseconds=1), 2)
        lines.append(
            (
                ended,
                f"REPORT RequestId: {request_id}\tDuration: {duration} ms\tMemory Size: 256 MB\tMax Memory Used: 91 MB",
            )
        )
        name = f"{began:%Y/%m/%d}/[$LATEST]{_digest(f'{began:%Y%m%d%p}')}"
        self._write(BOOKING_LOG, name, lines)

    def billing(self, began: datetime, ended: datetime, invoices: list[tuple[int, str]]) -> None:
        """One run of the billing job: plain text, with a warning for each open invoice given as (number, patient)."""
        lines = [(began, f"{iso(began)} INFO billing started")]
        lines += [
            (ended, f'{iso(ended)} WARN invoice {number} of "{patient}" is still open') for number, patient in invoices
        ]
        lines.append((ended, f"{iso(ended)} INFO billing ended"))
        self._write(BILLING_LOG, f"billing/billing-job/{_digest(iso(began))}", lines)

    def _write(self, group: str, stream: str, lines: list[tuple[datetime, str]]) -> None:
        if (group, stream) not in self._streams:
            with suppress(self._client.exceptions.ResourceAlreadyExistsException):  # another process's, same half day
                self._client.create_log_stream(logGroupName=group, logStreamName=stream)
            self._streams.add((group, stream))
        events = [{"timestamp": round(at.timestamp() * 1000), "message": text} for at, text in lines]
        self._client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
