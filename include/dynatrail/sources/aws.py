"""AWS clients through Airflow connections, and what to do when AWS says no."""

import re
import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ReadTimeoutError,
)

from dynatrail.errors import SourceError

if TYPE_CHECKING:
    from dynatrail.config import Target
    from dynatrail.settings import Settings

# Adaptive mode slows down by itself when AWS throttles; a run would rather be late than be red.
_CONFIG = Config(
    retries={"mode": "adaptive", "max_attempts": 8}, max_pool_connections=16, connect_timeout=10, read_timeout=60
)
_MAKING = threading.Lock()
"""Sessions of boto3 are not safe to make clients of in several threads; the clients are."""
_ADVICE = {
    "NoSuchBucket": "The bucket does not exist. Check DYNATRAIL_TRAIL_BUCKET against `aws cloudtrail describe-trails`.",
    "AccessDenied": "The connection's identity, or the role that it assumes, may not do that. Give it "
    "docs/reference/iam-policy.json, what docs/reference/iam/ has for the DAG, and kms:Decrypt on the trail's key when "
    "the files are encrypted with KMS.",
    "AccessDenied to sts:AssumeRole": "The role does not exist, or its trust policy does not name the connection's "
    "identity (or asks for another external_id), or that identity's policy does not allow sts:AssumeRole on it.",
    "InvalidAccessKeyId": "The access key is unknown or inactive. Renew it in the Airflow connection.",
    "SignatureDoesNotMatch": "The secret key is wrong. Correct the Airflow connection.",
    "ExpiredToken": "The session credentials have expired. Renew them, or use a role in the Airflow connection.",
    "PermanentRedirect": "The bucket lies in another region. Set region_name in the Airflow connection.",
    "SlowDown": "AWS throttles and 8 attempts were not enough. Run the task again later.",
    "RequestTimeTooSkewed": "This machine's clock is wrong. Set it by NTP.",
    "PointInTimeRecoveryUnavailableException": "Point-in-time recovery of the table is off. Turn it on: it reaches "
    "back to that moment.",
    "InvalidExportTimeException": "The window lies outside of what point-in-time recovery reaches; its end is about 5 "
    "minutes ago.",
    "ExportNotFoundException": "There is no such export, or AWS has forgotten it: it lists exports for 90 days.",
}
_REFUSED = re.compile(r"not authorized to perform:? ([a-z0-9-]+:[A-Za-z0-9]+)")
_ALIASES = {
    "AccessDeniedException": "AccessDenied",
    "403": "AccessDenied",
    "UnrecognizedClientException": "InvalidAccessKeyId",
    "InvalidClientTokenId": "InvalidAccessKeyId",
    "ExpiredTokenException": "ExpiredToken",
    "ThrottlingException": "SlowDown",
    "Throttling": "SlowDown",
    "301": "PermanentRedirect",
}


def client(service: str, aws_conn_id: str, region: str | None = None) -> Any:
    """A boto3 client of the Airflow connection, kept for the process (clients are safe to share between threads).

    Raises:
        SourceError: the connection does not exist, or holds no usable credentials.
    """
    return _client(service, aws_conn_id, region, None, None)


def client_for(service: str, target: "Target", settings: "Settings", *, region: str | None = None) -> Any:
    """A boto3 client for one region of one account: through its connection, and its role where it names one.

    Raises:
        SourceError: there is no such connection, or the role may not be assumed.
    """
    account = target.account
    connection = account.connection or settings.aws_conn_id
    return _client(service, connection, region or target.region, account.role_arn, account.external_id)


@lru_cache(maxsize=1024)
def _client(service: str, aws_conn_id: str, region: str | None, role_arn: str | None, external_id: str | None) -> Any:
    access = _access(aws_conn_id)
    session = _assumed(aws_conn_id, role_arn, external_id) if role_arn else access.session
    try:
        with _MAKING:
            return session.client(service, region_name=region or session.region_name, **access.options(service))
    except (BotoCoreError, ValueError) as error:
        raise explain(error, f"open a {service} client with the connection {aws_conn_id!r}") from error


@dataclass(frozen=True, slots=True)
class _Access:
    """What a connection gives. One session serves all its clients: each of its own would read AWS's models again."""

    session: Any
    connection: Any

    def options(self, service: str) -> dict[str, Any]:
        """How a client of a service is made: the connection's endpoint for it, and whether it checks certificates."""
        endpoint = self.connection.get_service_endpoint_url(service)
        return {"config": _CONFIG, "endpoint_url": endpoint, "verify": self.connection.verify}


@lru_cache(maxsize=256)
def _access(aws_conn_id: str) -> _Access:
    from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        # The AWS hook would fall back to the machine's own credentials: evidence must not come from a wrong account.
        BaseHook.get_connection(aws_conn_id)
    except AirflowNotFoundException:
        raise SourceError(
            f"The Airflow connection {aws_conn_id!r} does not exist. Create it (type Amazon Web Services), or export "
            f"AIRFLOW_CONN_{aws_conn_id.upper()}; README.md, 'A real account', shows how."
        ) from None
    hook: AwsGenericHook[Any] = AwsGenericHook(aws_conn_id=aws_conn_id, client_type="sts", config=_CONFIG)
    try:
        return _Access(hook.get_session(), hook.conn_config)
    except ClientError as error:
        raise explain(error, f"assume the role of the connection {aws_conn_id!r}") from error
    except (BotoCoreError, ValueError) as error:
        raise explain(error, f"open the connection {aws_conn_id!r}") from error


@lru_cache(maxsize=256)
def _assumed(aws_conn_id: str, role_arn: str, external_id: str | None) -> Any:
    """A session of the role whose credentials renew themselves: a run may last longer than they do.

    The role is assumed at once, so that a refusal is told here and not by the first call of some service.
    """
    import boto3
    from botocore.credentials import AssumeRoleCredentialFetcher, RefreshableCredentials
    from botocore.session import get_session

    attempt = f"assume {role_arn} with the connection {aws_conn_id!r}"
    access = _access(aws_conn_id)
    own = access.session

    def create(service: str, **more: Any) -> Any:
        more |= {"region_name": own.region_name, **access.options(service)}
        with _MAKING:
            return own._session.create_client(service, **more)  # noqa: SLF001  boto3 has no public way to renew a role

    if own.get_credentials() is None:
        raise explain(NoCredentialsError(), attempt)
    fetcher = AssumeRoleCredentialFetcher(
        client_creator=create,
        source_credentials=own.get_credentials(),
        role_arn=role_arn,
        extra_args={"RoleSessionName": "dynatrail", **({"ExternalId": external_id} if external_id else {})},
    )
    try:
        credentials = RefreshableCredentials.create_from_metadata(
            metadata=fetcher.fetch_credentials(), refresh_using=fetcher.fetch_credentials, method="assume-role"
        )
    except (ClientError, BotoCoreError) as error:
        raise explain(error, attempt) from error
    assumed = get_session()
    assumed._credentials = credentials  # type: ignore[attr-defined]  # noqa: SLF001
    return boto3.session.Session(botocore_session=assumed, region_name=own.region_name)


@lru_cache(maxsize=256)
def account_of(aws_conn_id: str) -> str:
    """The account that a connection's own identity is in, asked once a process.

    Raises:
        SourceError: the connection does not exist or does not work.
    """
    try:
        account: str = client("sts", aws_conn_id).get_caller_identity()["Account"]
    except (ClientError, BotoCoreError) as error:
        raise explain(error, f"ask who the connection {aws_conn_id!r} is") from error
    return account


def forget() -> None:
    """Open every client anew, for instance after a connection was corrected."""
    _client.cache_clear()
    _assumed.cache_clear()
    _access.cache_clear()
    account_of.cache_clear()


def refused_action(error: ClientError) -> str | None:
    """The IAM action that a refusal names, such as `dynamodb:ListTables`; None for other errors and silent refusals.

    Only the action leaves the message: the rest of it may quote what the caller sent.
    """
    found = _REFUSED.search(error.response.get("Error", {}).get("Message", ""))
    return found[1] if found else None


def explain(error: Exception, attempt: str) -> SourceError:
    """An error of boto3 as one for people: what was tried, what AWS said, what to do."""
    if isinstance(error, ClientError):
        code = error.response.get("Error", {}).get("Code", "")
        known = _ALIASES.get(code, code)
        if known == "AccessDenied" and error.operation_name == "AssumeRole":
            known = "AccessDenied to sts:AssumeRole"
        advice = _ADVICE.get(known, "See the AWS documentation of this error code.")
        answer = code
        if refused := refused_action(error) or (known.startswith("AccessDenied") and error.operation_name):
            answer = f"{code} to {refused}"
        return SourceError(f"Could not {attempt}: AWS answered {answer}. {advice}")
    if isinstance(error, NoCredentialsError):
        return SourceError(f"Could not {attempt}: no credentials. Put keys or a role into the Airflow connection.")
    if isinstance(error, NoRegionError):
        return SourceError(f"Could not {attempt}: no region. Set region_name in the Airflow connection.")
    if isinstance(error, EndpointConnectionError | ConnectTimeoutError | ReadTimeoutError):
        return SourceError(
            f"Could not {attempt}: the endpoint does not answer. Check the network, and endpoint_url and region_name "
            "in the Airflow connection. What was taken before stays; run the task again."
        )
    return SourceError(f"Could not {attempt}: {type(error).__name__}. Check the Airflow connection.")
