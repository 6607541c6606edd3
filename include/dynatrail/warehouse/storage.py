"""How delta-rs reaches the files of a warehouse, and what it means when it cannot."""

import re
from typing import Any

from dynatrail.errors import WarehouseError


class ConnectionOptions:
    """Object store options from an Airflow AWS connection, looked up when first called.

    Calling it again gives the credentials as they are then: a role's session is renewed by botocore before it expires.
    """

    def __init__(self, conn_id: str) -> None:
        self._conn_id = conn_id
        self._hook: Any = None
        self._session: Any = None

    def __call__(self) -> dict[str, str]:
        """Raises WarehouseError if the connection gives no credentials or cannot be read."""
        if self._session is None:
            self._connect()
        credentials = self._session.get_credentials()
        if credentials is None:
            raise WarehouseError(
                f"The Airflow connection {self._conn_id} gives no AWS credentials for the warehouse. Set an access key "
                "or a role in it, or run where an instance or pod role is present."
            )
        frozen = credentials.get_frozen_credentials()
        options = {
            "AWS_ACCESS_KEY_ID": frozen.access_key,
            "AWS_SECRET_ACCESS_KEY": frozen.secret_key,
            "AWS_REGION": self._session.region_name or "us-east-1",
        }
        if frozen.token:
            options["AWS_SESSION_TOKEN"] = frozen.token
        if endpoint := self._hook.conn_config.get_service_endpoint_url("s3"):
            options["AWS_ENDPOINT_URL"] = endpoint
            options["AWS_ALLOW_HTTP"] = str(endpoint.startswith("http://")).lower()
        return options

    def _connect(self) -> None:
        from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
        from airflow.sdk.exceptions import AirflowException

        self._hook = AwsGenericHook(aws_conn_id=self._conn_id, client_type="s3")
        try:
            self._session = self._hook.get_session()
        except AirflowException as error:
            raise WarehouseError(
                f"The Airflow connection {self._conn_id} for the warehouse cannot be used: {error}. Create it with "
                f"`airflow connections add {self._conn_id} --conn-type aws`, or set DYNATRAIL_WAREHOUSE_CONN_ID."
            ) from error


def reason(error: Exception) -> str:
    """The one line of a delta-rs error that a person needs: S3's own code and message, or the last cause of a chain."""
    text = re.sub(r"\x1b\[\d+m", "", str(error))
    if answer := re.search(r"<Code>(.*?)</Code>\s*<Message>(.*?)</Message>", text, re.DOTALL):
        return f"{answer[1]}: {answer[2].strip().rstrip('.')}."
    first, *causes = [line.strip() for line in text.split("↳")]
    return (causes[-1] if causes else first.splitlines()[0]).rstrip(".") + "."
