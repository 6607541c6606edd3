"""The planted incidents, each a known entry of the ground truth that detections are judged by."""

import json
from collections.abc import Callable
from typing import Any

import msgspec

from dynatrail.sandbox.scenarios.house import ROLES
from dynatrail.sandbox.scenarios.people import sign_in
from dynatrail.sandbox.scenarios.practice import CLI, Practice
from dynatrail.sandbox.scenarios.stage import HOME, PRODUCTION, Actor

Json = dict[str, Any]

FOREIGN_ACCOUNT = "999999999999"
_TRAIL_ARN = f"arn:aws:cloudtrail:{HOME}:{PRODUCTION}:trail/clinic-organization-trail"


def mass_read(practice: Practice, reads: int = 100) -> None:
    """A nurse's session at night, from the command line: a Scan, which is denied, then file after file."""
    stage = practice.stage
    thief = _from_elsewhere(sign_in(practice, "nurse.deniz"), "203.0.113.17")
    with stage.incident("mass-read", "Patient files read one after the other at night", thief, ["Patients"]):
        stage.call(thief, "Scan", TableName="Patients", Limit=100)
        for patient in practice.patients[:reads]:
            stage.call(thief, "GetItem", TableName="Patients", Key={"patient_id": {"S": patient}})


def mass_scan(practice: Practice, pages: int = 30) -> None:
    """The analyst, who reads appointments by day, reads every patient at night."""
    stage = practice.stage
    caller = _from_elsewhere(practice.actors["ines.analyst"], "203.0.113.18")
    analyst = stage.assume(caller, ROLES["AnalyticsReadRole"], "ines.analyst")
    if analyst is None:
        return
    with stage.incident("mass-scan", "Whole patient table scanned at night by an analyst", analyst, ["Patients"]):
        start: Json | None = None
        for _ in range(pages):
            paging: Json = {"ExclusiveStartKey": start} if start else {}
            start = stage.call(analyst, "Scan", TableName="Patients", Limit=20, **paging).answer.get("LastEvaluatedKey")


def former_employee(practice: Practice, reads: int = 30) -> None:
    """The key of someone who has left is used from a network never seen before."""
    stage = practice.stage
    robert = _from_elsewhere(practice.actors["robert.former"], "203.0.113.66")
    with stage.incident("former-employee", "Key of a former employee used from a new network", robert, ["Patients"]):
        stage.call(robert, "GetCallerIdentity", service="sts")
        stage.call(robert, "ListTables")
        stage.call(robert, "DescribeTable", TableName="Patients")
        stage.call(robert, "Scan", TableName="Patients", Limit=50)
        for patient in practice.random.sample(practice.patients, min(reads, len(practice.patients))):
            stage.call(robert, "GetItem", TableName="Patients", Key={"patient_id": {"S": patient}})


def delete_table(practice: Practice) -> None:
    """Deletion protection is switched off, then the table is deleted, within a minute, in the console."""
    stage = practice.stage
    marta = stage.sign_in_to_console(practice.actors["marta.dba"])
    with stage.incident(
        "table-deleted", "Deletion protection switched off, then table deleted", marta, ["InvoicesArchive"]
    ):
        stage.call(marta, "DeleteTable", TableName="InvoicesArchive")
        stage.call(marta, "UpdateTable", TableName="InvoicesArchive", DeletionProtectionEnabled=False)
        stage.call(marta, "DeleteTable", TableName="InvoicesArchive")


def share_table(practice: Practice) -> None:
    """A resource policy opens the patient table to an account outside the organization."""
    stage = practice.stage
    marta = stage.sign_in_to_console(practice.actors["marta.dba"])
    arn = f"arn:aws:dynamodb:{HOME}:{PRODUCTION}:table/Patients"
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{FOREIGN_ACCOUNT}:root"},
        "Action": ["dynamodb:GetItem", "dynamodb:Scan"],
        "Resource": arn,
    }
    with stage.incident("table-shared", "Patient table opened to a foreign account", marta, ["Patients"]):
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        stage.call(marta, "PutResourcePolicy", ResourceArn=arn, Policy=policy)
        stage.call(marta, "GetResourcePolicy", ResourceArn=arn)


def stop_logging(practice: Practice) -> None:
    """A developer tries to switch the trail off, to blind it and to delete it; all is denied."""
    stage = practice.stage
    tomas = practice.actors["tomas.developer"]
    with stage.incident("stop-logging", "Attempt to switch the trail off, denied", tomas, []):
        stage.call(tomas, "StopLogging", service="cloudtrail", Name=_TRAIL_ARN)
        stage.call(
            tomas,
            "PutEventSelectors",
            service="cloudtrail",
            TrailName=_TRAIL_ARN,
            EventSelectors=[{"ReadWriteType": "WriteOnly", "IncludeManagementEvents": False}],
        )
        stage.call(tomas, "DeleteTrail", service="cloudtrail", Name=_TRAIL_ARN)


def grant_oneself(practice: Practice, reads: int = 12) -> None:
    """Through the role chain the developer reaches a role that may change its own policy, does so and alters a file."""
    stage = practice.stage
    developer = stage.assume(
        practice.actors["tomas.developer"], ROLES["DeveloperRole"], "tomas", SourceIdentity="tomas.developer"
    )
    support = developer and stage.assume(developer, ROLES["SupportRole"], "ticket-4712")
    if support is None:
        return
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "dynamodb:*", "Resource": "*"}]}
    with stage.incident("self-grant", "A role grants itself all of DynamoDB and uses it", support, ["Patients"]):
        stage.call(support, "GetItem", TableName="Patients", Key={"patient_id": {"S": practice.patient()}})
        stage.call(
            support,
            "PutRolePolicy",
            service="iam",
            RoleName="SupportRole",
            PolicyName="temporary",
            PolicyDocument=json.dumps(policy),
        )
        for patient in practice.random.sample(practice.patients, reads):
            stage.call(support, "GetItem", TableName="Patients", Key={"patient_id": {"S": patient}})
        stage.call(
            support,
            "UpdateItem",
            TableName="Patients",
            Key={"patient_id": {"S": patient}},
            UpdateExpression="SET email = :e",
            ConditionExpression="attribute_exists(patient_id)",
            ExpressionAttributeValues={":e": {"S": "somebody.else@example.com"}},
        )


INCIDENTS: tuple[tuple[float, float, Callable[[Practice], None]], ...] = (
    (0.30, 3.2, former_employee),
    (0.45, 22.6, mass_read),
    (0.55, 14.3, stop_logging),
    (0.65, 2.7, mass_scan),
    (0.75, 16.9, delete_table),
    (0.82, 11.1, share_table),
    (0.90, 19.4, grant_oneself),
)
"""When each happens: share of the window's days, hour of that day (UTC), and what."""


def _from_elsewhere(actor: Actor, address: str) -> Actor:
    caller = msgspec.structs.replace(actor.caller, source_ip_address=address, user_agent=CLI, console=False)
    return Actor(actor.name, actor.kind, actor.account_id, caller, actor.credentials, list(actor.chain))
