"""Amazon resource names of what lies in a region of an account, taken apart and put together."""

from typing import NamedTuple


class Place(NamedTuple):
    """Where a resource lies, and its name: what follows the first slash."""

    account_id: str
    region: str
    name: str


def place_of(arn: str) -> Place:
    """Account, region and name of a table, a trail or the like.

    Raises:
        ValueError: it is no ARN.
    """
    _, _, _, region, account_id, resource = arn.split(":", 5)
    return Place(account_id, region, resource.partition("/")[2])


def partition(region: str) -> str:
    """`aws`, `aws-cn` or `aws-us-gov`: how the ARNs of a region begin."""
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


def table_arn(account_id: str, region: str, table_name: str) -> str:
    """The ARN of a table."""
    return f"arn:{partition(region)}:dynamodb:{region}:{account_id}:table/{table_name}"
