"""AWS clients through Airflow connections, and what to do when AWS says no."""

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
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
_ADVICE = {
    "NoSuchBucket": "The bucket does not exist. Check DYNATRAIL_TRAIL_BUCKET against `aws cloudtrail describe-trails`.",
    "AccessDenied": "The connection's identity may not do that. Give it docs/reference/iam-policy.json "
    "(and kms:Decrypt on the trail's key when the files are encrypted with KMS).",
    "InvalidAccessKeyId": "The access key is unknown or inactive. Renew it in the Airflow connection.",
    "SignatureDoesNotMatch": "The secret key is wrong. Correct the Airflow connection.",
    "ExpiredToken": "The session credentials have expired. Renew them, or use a role in the Airflow connection.",
    "PermanentRedirect": "The bucket lies in another region. Set region_name in the Airflow connection.",
    "SlowDown": "AWS throttles and 8 attempts were not enough. Run the task again later.",
    "RequestTimeTooSkewed": "This machine's clock is wrong. Set it by NTP.",
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


@lru_cache(maxsize=256)
def _client(service: str, aws_conn_id: str, region: str | None, role_arn: str | None, external_id: str | None) -> Any:
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
    hook: AwsGenericHook[Any] = AwsGenericHook(
        aws_conn_id=aws_conn_id, client_type=service, region_name=region, config=_CONFIG
    )
    try:
        if role_arn:
            endpoint = hook.conn_config.get_service_endpoint_url(service)
            session = _assumed(hook, role_arn, external_id, region)
            return session.client(service, region_name=region, config=_CONFIG, endpoint_url=endpoint)
        return hook.get_conn()
    except (BotoCoreError, ValueError) as error:
        raise explain(error, f"open a {service} client with the connection {aws_conn_id!r}") from error


def client_for(service: str, target: "Target", settings: "Settings", *, region: str | None = None) -> Any:
    """A boto3 client for one region of one account: through its connection, and its role where it names one.

    Raises:
        SourceError: there is no such connection, or the role may not be assumed.
    """
    account = target.account
    connection = account.connection or settings.aws_conn_id
    return _client(service, connection, region or target.region, account.role_arn, account.external_id)


def _assumed(hook: Any, role_arn: str, external_id: str | None, region: str | None) -> Any:
    """A session of the role whose credentials renew themselves: a run may last longer than they do."""
    import boto3
    from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
    from botocore.session import get_session

    own = hook.get_session(region_name=region)._session  # noqa: SLF001  boto3 has no public way to renew a role
    endpoint = hook.conn_config.get_service_endpoint_url("sts", sts_connection_assume=True)

    def create(service: str, **more: Any) -> Any:
        return own.create_client(service, **{**more, "endpoint_url": endpoint, "config": _CONFIG})

    fetcher = AssumeRoleCredentialFetcher(
        client_creator=create,
        source_credentials=own.get_credentials(),
        role_arn=role_arn,
        extra_args={"RoleSessionName": "dynatrail", **({"ExternalId": external_id} if external_id else {})},
    )
    assumed = get_session()
    assumed._credentials = DeferredRefreshableCredentials(  # type: ignore[attr-defined]  # noqa: SLF001
        refresh_using=fetcher.fetch_credentials, method="assume-role"
    )
    return boto3.session.Session(botocore_session=assumed, region_name=region)


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
        advice = _ADVICE.get(_ALIASES.get(code, code), "See the AWS documentation of this error code.")
        answer = f"{code} to {refused}" if (refused := refused_action(error)) else code
        return SourceError(f"Could not {attempt}: AWS answered {answer}. {advice}")
    if isinstance(error, NoCredentialsError):
        return SourceError(f"Could not {attempt}: no credentials. Put keys or a role into the Airflow connection.")
    if isinstance(error, EndpointConnectionError | ConnectTimeoutError | ReadTimeoutError):
        return SourceError(
            f"Could not {attempt}: the endpoint does not answer. Check the network, and endpoint_url and region_name "
            "in the Airflow connection. What was taken before stays; run the task again."
        )
    return SourceError(f"Could not {attempt}: {type(error).__name__}. Check the Airflow connection.")
