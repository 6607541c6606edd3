"""Ask AWS one thing, below its documented rate, and say what became of the question.

What an answer quotes of items' values is masked at once, so nothing behind this holds any.

Rates are those that AWS documents for the API, halved, so that the account's own work goes on beside a snapshot:
control plane of DynamoDB 2,500 a second in all ("Best practices for managing the control plane in DynamoDB");
DescribeContinuousBackups, ListTagsOfResource and DescribeBackup 10, ListBackups and ListStreams 5 (API reference of
each). Where nothing is documented, 20 a second for DynamoDB and 5 for everything else. Throttling all the same makes
the SDK slow down by itself (adaptive retries).
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError

from dynatrail.privacy.documents import without_item_values
from dynatrail.privacy.tokens import Tokenizer, load_key
from dynatrail.sources.aws import client_for, explain
from dynatrail.sources.snapshots.limiter import Limiter

if TYPE_CHECKING:
    from dynatrail.config import Target
    from dynatrail.settings import Settings

Json = dict[str, Any]

SHARE = 0.5
DOCUMENTED = {
    "DescribeTable": 2500,
    "DescribeContinuousBackups": 10,
    "ListTagsOfResource": 10,
    "ListBackups": 5,
    "ListStreams": 5,
}
"""Calls a second that AWS documents."""
OTHERWISE = {"dynamodb": 40}
"""Calls a second of a service's other APIs; 10 for services that are not named."""

_DENIED = frozenset(
    ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError", "NotAuthorized", "403")
)
_PASSING = frozenset(
    (
        *(
            "Throttling",
            "ThrottlingException",
            "ThrottledException",
            "TooManyRequestsException",
            "RequestLimitExceeded",
        ),
        *("LimitExceededException", "InternalServerError", "InternalServerErrorException", "InternalFailure"),
        *("InternalError", "ServiceUnavailable", "ServiceUnavailableException", "ServiceException", "SlowDown"),
        *("KMSInternalException", "DependencyTimeoutException", "500", "502", "503"),
    )
)
_CREDENTIALS = frozenset(
    (
        *("InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "SignatureDoesNotMatch"),
        *("ExpiredToken", "ExpiredTokenException", "RequestTimeTooSkewed", "AuthFailure"),
    )
)


@dataclass(frozen=True, slots=True)
class Api:
    """One API of AWS.

    Attributes:
        service: botocore's name.
        operation: the API's name.
        action: IAM action that it needs.
        result: path of what is wanted of the answer, joined by dots; empty: all of it.
        pages: name of the token as sent and as answered; None: one page.
        absent: error codes that mean that nothing is configured.
        gone: error codes that mean that the resource is no longer there.
    """

    service: str
    operation: str
    action: str
    result: str = ""
    pages: tuple[str, str] | None = None
    absent: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a question.

    Attributes:
        kind: `found`, `absent`, `gone`, `unreadable`, `missed` (try again later) or `lacking` (the SDK is too old).
        value: what was found.
        reason: why nothing was.
    """

    kind: str
    value: Any = None
    reason: str = ""


class Asker:
    """Asks in one region of one account; safe to share between threads.

    Args:
        clients: gives the client of a service and region (None: the target's); by default through the connection.
    """

    def __init__(
        self, settings: "Settings", target: "Target", clients: Callable[[str, str | None], Any] | None = None
    ) -> None:
        self.target = target
        self._settings = settings
        self._clients = clients or (lambda service, region: client_for(service, target, settings, region=region))
        self._limiters: dict[tuple[str, str], Limiter] = {}
        self._lock = threading.Lock()

    def ask(self, api: Api, parameters: Mapping[str, Any] | None = None, *, region: str | None = None) -> Answer:
        """Ask, page by page; lists of several pages are put together.

        Raises:
            SourceError: the credentials do not work, so nothing could be asked.
        """
        try:
            return self._ask(api, dict(parameters or {}), region)
        except ClientError as error:
            return self._refused(api, error)
        except EndpointConnectionError:
            return Answer("unreadable", reason=f"{api.operation}: the endpoint of {api.service} does not answer")
        except BotoCoreError as error:
            return Answer("missed", reason=f"{api.operation}: {type(error).__name__}")

    def pages(self, api: Api, parameters: Mapping[str, Any] | None = None, *, region: str | None = None) -> Answer:
        """As `ask`, but with the whole answers, one a page, for APIs that page several lists at once."""
        return self.ask(replace(api, result=""), parameters, region=region)

    @cached_property
    def _tokens(self) -> Tokenizer:
        return Tokenizer(load_key(self._settings))

    @property
    def partition(self) -> str:
        """`aws`, `aws-cn`, …: how ARNs begin in the target's region."""
        return str(self._client("dynamodb", None).meta.partition)

    def _client(self, service: str, region: str | None) -> Any:
        with self._lock:
            return self._clients(service, region)

    def _ask(self, api: Api, parameters: Json, region: str | None) -> Answer:
        client = self._client(api.service, region)
        if api.operation not in client.meta.service_model.operation_names:
            return Answer("lacking", reason=api.operation)
        pages = self._pages(api, getattr(client, xform_name(api.operation)), parameters)
        first = next(pages)
        if api.pages and not api.result:
            return Answer("found", self._masked([first, *pages]))
        value = member(first, api.result)
        if api.pages:
            value = list(value or ())
            for page in pages:
                value += member(page, api.result) or ()
        return Answer("found", self._masked(value))

    def _masked(self, value: Any) -> Any:
        return without_item_values(value, lambda: self._tokens)

    def _pages(self, api: Api, method: Any, parameters: Json) -> Iterator[Json]:
        limiter = self._limiter(api)
        while True:
            limiter.wait()
            page: Json = method(**parameters)
            yield page
            if api.pages is None or not page.get(api.pages[1]):
                return
            parameters = parameters | {api.pages[0]: page[api.pages[1]]}

    def _limiter(self, api: Api) -> Limiter:
        key = (api.service, api.operation)
        with self._lock:
            if key not in self._limiters:
                documented = DOCUMENTED.get(api.operation) or OTHERWISE.get(api.service, 10)
                self._limiters[key] = Limiter(documented * SHARE)
            return self._limiters[key]

    def _refused(self, api: Api, error: ClientError) -> Answer:
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code in _CREDENTIALS:
            raise explain(error, f"ask {api.operation} of {self.target.account_id}") from error
        if code in api.absent:
            return Answer("absent")
        if code in api.gone:
            return Answer("gone")
        if code in _DENIED:
            return Answer("unreadable", reason=f"{api.action} is not allowed")
        if code in _PASSING or status >= 500:  # noqa: PLR2004
            return Answer("missed", reason=f"{api.operation}: AWS answered {code}")
        return Answer("unreadable", reason=f"{api.operation}: AWS answered {code}")


def member(answer: Any, path: str) -> Any:
    """What lies at `path` (names joined by dots) of an answer; None where a name is missing."""
    if not path:
        return {name: value for name, value in answer.items() if name != "ResponseMetadata"}
    for name in path.split("."):
        if not isinstance(answer, dict):
            return None
        answer = answer.get(name)
    return answer
