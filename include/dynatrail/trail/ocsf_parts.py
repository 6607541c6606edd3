"""What all OCSF events are made of: accounts, resources, users, times."""

import ipaddress
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

Object = dict[str, Any]

PROFILES = ("cloud",)
AWS_ACCOUNT = {"type": "AWS Account", "type_id": 10}
OTHER = 99
USER_TYPES = {"IAMUser": (1, "User"), "Root": (2, "Admin"), "AWSService": (4, "Service")}
"""userIdentity.type -> OCSF user type; the rest is 99 with its own name."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ARN_PARTS = 6  # arn:partition:service:region:account:resource
_MAX_IP_LENGTH = 40
"""`max_len` of OCSF's `ip_t`."""


def account_of(arn: str) -> str | None:
    """The account that an ARN names, if it is one and names one."""
    parts = arn.split(":", 5)
    return parts[4] or None if parts[0] == "arn" and len(parts) == _ARN_PARTS else None


def cloud(account_id: str, region: str, *arns: str | None) -> Object:
    """Where it happened; the first of the ARNs that is one tells the partition."""
    arn = next((arn for arn in arns if arn and arn.startswith("arn:")), None)
    return present(
        {
            "account": {"uid": account_id, **AWS_ACCOUNT},
            "cloud_partition": arn.split(":")[1] if arn else None,
            "provider": "AWS",
            "region": region,
        }
    )


def resource(arn: str) -> Object:
    """What an ARN tells of a resource."""
    parts = arn.split(":", 5)
    if len(parts) < _ARN_PARTS:
        return {"uid": arn}
    _, partition, service, region, account, _ = parts
    table = service == "dynamodb" and parts[5].startswith("table/")
    return present(
        {
            "cloud_partition": partition,
            "name": parts[5].split("/")[1] if table else None,
            "owner": {"account": {"uid": account, **AWS_ACCOUNT}} if account else None,
            "region": region,
            "type": "AWS::DynamoDB::Table" if table and parts[5].count("/") == 1 else None,
            "uid": arn,
        }
    )


def short_name(arn: str) -> str:
    """What follows the last slash or colon."""
    return arn.rsplit(":", 1)[-1].rsplit("/", 1)[-1]


@lru_cache(maxsize=65_536)
def is_ip(address: str | None) -> bool:
    """Whether OCSF takes it for an address."""
    try:
        return address is not None and bool(ipaddress.ip_address(address)) and len(address) <= _MAX_IP_LENGTH
    except ValueError:
        return False


def milliseconds(instant: datetime) -> int:
    """Since 1970, as OCSF has times."""
    return (instant - _EPOCH) // timedelta(milliseconds=1)


def present(values: Object) -> Object:
    """Without what is missing: None, and objects, lists and texts that turned out empty."""
    return {name: value for name, value in values.items() if value is not None and value not in ("", [], {})}
