"""Which key attributes of a table are numbers: learnt once per table with DescribeTable, kept in the state database.

CloudTrail writes key values without their type. A number's token is made from the notation that DynamoDB stores, so it
must be known which attributes are numbers (`privacy/tokens.py`). A table that is gone or may not be described stays
unknown: its key values are then taken as the client sent them, which is the same text for every well-behaved client.
What passes by itself (throttling), and a role that is configured and may not be assumed, is raised instead, so that the
task tries again and tokens do not depend on the hour.
"""

from collections.abc import Collection
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from sqlalchemy import select

from dynatrail import clock
from dynatrail.errors import SourceError
from dynatrail.settings import Settings
from dynatrail.sources import targets
from dynatrail.sources.aws import client_for, explain
from dynatrail.sources.cloudtrail.contexts import table_name
from dynatrail.state.database import session
from dynatrail.state.models import TableKey

_PASSING = frozenset(
    ("ThrottlingException", "Throttling", "RequestLimitExceeded", "InternalServerError", "ServiceUnavailable")
)


class KeyTypeBook:
    """The key types of the tables of one account and region. `types` maps table name and ARN -> attribute -> type."""

    def __init__(self, settings: Settings, account_id: str, region: str) -> None:
        self._settings = settings
        self._target = targets.at(settings, account_id, region)
        self._place = f":dynamodb:{region}:{account_id}:table/"
        self.types: dict[str, dict[str, str]] = {}
        with session() as database:
            rows = database.scalars(select(TableKey).where(TableKey.table_arn.contains(self._place, autoescape=True)))
            for row in rows:
                self._note(row.table_arn, row.attribute_name, row.attribute_type)

    def learn(self, table_arns: Collection[str]) -> bool:
        """Describe the tables that are not known yet; returns whether a key attribute of them is a number.

        Raises:
            SourceError: AWS throttles, or has a fault of its own; or the account's role may not be assumed.
        """
        new = sorted(arn for arn in table_arns if self._place in arn and arn not in self.types)
        learnt = [(arn, key) for arn in new for key in self._describe(arn)]
        if not learnt:
            return False
        with session() as database:
            for arn, key in learnt:
                row = TableKey(table_arn=arn, learned_at=clock.now(), **key)
                database.merge(row)
                self._note(arn, key["attribute_name"], key["attribute_type"])
        return any(key["attribute_type"] == "N" for _, key in learnt)

    def _note(self, arn: str, attribute: str, kind: str) -> None:
        types = self.types.setdefault(arn, {})
        types[attribute] = kind
        self.types[table_name(arn)] = types

    def _describe(self, arn: str) -> list[dict[str, Any]]:
        try:
            dynamodb = client_for("dynamodb", self._target, self._settings)
            table = dynamodb.describe_table(TableName=arn)["Table"]
        except ClientError as error:
            if error.response["Error"]["Code"] in _PASSING or error.operation_name == "AssumeRole":
                raise explain(error, f"describe {arn}") from error
            return []
        except SourceError:
            if self._target.account.role_arn:
                raise  # whoever names a role means it to work; without it tokens would depend on when it did
            return []  # no connection because a copy of the bucket is read
        except BotoCoreError:
            return []  # no way to that region
        types = {a["AttributeName"]: a["AttributeType"] for a in table["AttributeDefinitions"]}
        return [
            {
                "attribute_name": key["AttributeName"],
                "attribute_type": types[key["AttributeName"]],
                "key_type": key["KeyType"],
            }
            for key in table["KeySchema"]
        ]
