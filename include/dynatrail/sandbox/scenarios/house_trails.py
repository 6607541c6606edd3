"""The trails that watch the practice: what they select, and who keeps them."""

from typing import Any

from dynatrail.sandbox.delivery import Delivery
from dynatrail.sandbox.identities import Caller
from dynatrail.sandbox.sandbox import PRODUCTION, REGIONS, Sandbox
from dynatrail.sandbox.scenarios.house import BUCKET, TRAIL_KEEPERS, new_key
from dynatrail.sandbox.scenarios.practice import CLI
from dynatrail.sandbox.scenarios.stage import HOME, Actor, Stage
from dynatrail.sandbox.state import Credentials

Json = dict[str, Any]

TRAIL = "clinic-organization-trail"

SELECTORS: tuple[Json, ...] = (
    {"Name": "Management", "FieldSelectors": [{"Field": "eventCategory", "Equals": ["Management"]}]},
    *(
        {
            "Name": f"DynamoDB {name}",
            "FieldSelectors": [
                {"Field": "eventCategory", "Equals": ["Data"]},
                {"Field": "resources.type", "Equals": [f"AWS::DynamoDB::{kind}"]},
            ],
        }
        for name, kind in (("items", "Table"), ("streams", "Stream"))
    ),
)
"""What the trails select: all management events, and all data events of all tables and streams."""


def make_trails(sandbox: Sandbox, stage: Stage, delivery: Delivery) -> tuple[str, ...]:
    """One organization trail, or one trail of each account into the same bucket; all with DynamoDB data events.

    A trail tells nothing of what came before it logged: CreateTrail and the first StartLogging are in no log file, as
    on AWS. So its keeper starts and sets it once more at the window's first instant, for whoever reads the files later.
    """
    arns = []
    for account in (PRODUCTION,) if delivery.organization else REGIONS:
        client = sandbox.client("cloudtrail", sandbox.root(account, HOME), caller=Caller(recorded=False))
        made = client.create_trail(
            Name=TRAIL if delivery.organization else f"clinic-trail-{account}",
            S3BucketName=BUCKET,
            IsMultiRegionTrail=True,
            IsOrganizationTrail=delivery.organization,
            EnableLogFileValidation=True,
            **({"S3KeyPrefix": delivery.prefix.strip("/")} if delivery.prefix else {}),
        )
        client.start_logging(Name=made["TrailARN"])
        keeper = _trail_keeper(sandbox, account)
        at_once: Json = {"service": "cloudtrail", "pause": (0, 0)}
        stage.call(keeper, "StartLogging", **at_once, Name=made["TrailARN"])
        stage.call(
            keeper,
            "PutEventSelectors",
            **at_once,
            TrailName=made["TrailARN"],
            AdvancedEventSelectors=list(SELECTORS),
        )
        arns.append(made["TrailARN"])
    return tuple(arns)


def _trail_keeper(sandbox: Sandbox, account: str) -> Actor:
    name = TRAIL_KEEPERS[account]
    key = new_key(sandbox, name)
    caller = Caller(source_ip_address="192.0.2.43", user_agent=CLI)
    credentials = Credentials(key["AccessKeyId"], key["SecretAccessKey"], HOME)
    arn = f"arn:aws:iam::{account}:user/{name}"
    return Actor(f"{name}@example.com", "person", account, caller, credentials, [arn])
