"""Turns every call that passes the hop into what CloudTrail would have recorded, in each account that it concerns."""

import json
import re
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import msgspec
from botocore.parsers import create_parser

from dynatrail import clock as wall
from dynatrail.clock import iso
from dynatrail.errors import SandboxError
from dynatrail.sandbox.calls import UNSELECTED, Call, decode, service_model
from dynatrail.sandbox.clock import SandboxClock
from dynatrail.sandbox.deliverer import Deliverer
from dynatrail.sandbox.hop import CALLER_HEADER, Request, Response
from dynatrail.sandbox.identities import Caller, Identities, federated, foreign, service_identity
from dynatrail.sandbox.journal import Journal
from dynatrail.sandbox.metrics_wire import is_cbor, read_cbor
from dynatrail.sandbox.own_answers import OwnAnswers
from dynatrail.sandbox.parts import Part, Seen, Witness
from dynatrail.sandbox.records import DYNAMODB_SERVICES, Failure, Ids, Made, build, is_data_event
from dynatrail.sandbox.trails import Trails

if TYPE_CHECKING:
    from botocore.model import Shape

Json = dict[str, Any]

_XML_ERROR = re.compile(r"<Code>(?P<code>[^<]*)</Code>\s*<Message>(?P<message>[^<]*)</Message>")
_FAILED = 400


class Recorded(msgspec.Struct, frozen=True):
    """One record, as a listener gets it.

    Attributes:
        correction_id: eventID of the copy that will supersede it, if any.
        delivered: False where no trail selects it.
    """

    record: Json
    correction_id: str | None
    delivered: bool


class RecorderState(msgspec.Struct):
    """What must outlive a stop. `history` is what LookupEvents searches, by `ACCOUNT/REGION`, oldest first."""

    ids: Ids
    identities: Identities = msgspec.field(default_factory=Identities)
    trails: Trails = msgspec.field(default_factory=Trails)
    key_names: dict[str, list[str]] = {}
    tables_created: dict[str, datetime] = {}
    history: dict[str, list[Json]] = {}


class Recorder:
    """Observes the hop; thread-safe, one call at a time.

    Attributes:
        listener: gets every record that is made, for ground truth.
    """

    def __init__(
        self,
        state: RecorderState,
        clock: SandboxClock,
        deliverer: Deliverer,
        own: OwnAnswers,
        journal: Journal,
        parts: Sequence[Part] = (),
    ) -> None:
        self.parts = parts
        self._witnesses = [part for part in parts if isinstance(part, Witness)]
        self._journal = journal
        self.listener: Callable[[Recorded], None] | None = None
        self._state = state
        self._clock = clock
        self._deliverer = deliverer
        self._own = own
        self._callers: dict[str, Caller] = {}
        self._lock = threading.RLock()

    def register(self, caller: Caller) -> str:
        """Value of the `X-Dynatrail-Caller` header under which calls count as `caller`'s."""
        token = secrets.token_hex(8)
        self._callers[token] = caller
        return token

    def identity_of(self, access_key_id: str) -> Json:
        """`userIdentity` of a key that the account has issued.

        Raises:
            SandboxError: it has not.
        """
        identity = self._state.identities.of(access_key_id)
        if identity is None:
            raise SandboxError("The sandbox never issued this access key; take one from CreateAccessKey or AssumeRole.")
        return identity

    def observe(self, request: Request, response: Response) -> Response:
        """Record one call; the answer that the caller gets."""
        call = decode(request)
        with self._lock:
            self._journal.take(response, self._clock.now())
            return self._observe(call, request, response)

    def _observe(self, call: Call | None, request: Request, response: Response) -> Response:
        caller = self._callers.get(request.headers.get(CALLER_HEADER.lower(), "")) or Caller(
            source_ip_address=request.peer, user_agent=request.headers.get("user-agent", "")
        )
        if call is None or (call.service != "s3" and call.operation not in service_model(call.service).operation_names):
            return response
        identity = self._state.identities.of(call.access_key_id) if call.access_key_id else None
        if identity is None and not _is_unsigned_session(call):
            return response  # AWS cannot tell whose record this would be either
        account = identity["accountId"] if identity else call.parameters.get("RoleArn", "::::").split(":")[4]
        return self._record(call, caller, identity, account, response)

    def tick(self) -> None:
        """Let every part do what AWS would have done by itself up to the present sandbox time."""
        with self._lock:
            for part in self.parts:
                part.tick(self._clock.now())

    def inject(  # noqa: PLR0913  a record has that many independent parts
        self,
        event_source: str,
        event_name: str,
        *,
        account_id: str,
        region: str,
        identity: Json,
        caller: Caller,
        request_parameters: Json | None = None,
        response_elements: Json | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> Json:
        """Record a call that no signature stands behind: the console's, a service's, Identity Center's.

        `fields` replace or add top-level fields, such as `eventType` or `readOnly`. Returns the record.
        """
        with self._lock:
            now = self._clock.now()
            record: Json = {
                "eventVersion": "1.11",
                "userIdentity": identity,
                "eventTime": iso(now.replace(microsecond=0)),
                "eventSource": event_source,
                "eventName": event_name,
                "awsRegion": region,
                "sourceIPAddress": caller.invoked_by or caller.source_ip_address,
                "userAgent": caller.invoked_by or caller.user_agent,
                "requestParameters": request_parameters,
                "responseElements": response_elements,
                "additionalEventData": {"dynatrailSandbox": True},
                "readOnly": False,
                "eventType": "AwsApiCall",
                "managementEvent": True,
                "eventCategory": "Management",
            }
            more = dict(fields or {})
            record["additionalEventData"] |= more.pop("additionalEventData", {})
            if more.get("eventType", "AwsApiCall") == "AwsApiCall":  # sign-ins and service events have none
                record["requestID"] = self._state.ids.request_id(event_source.split(".", maxsplit=1)[0])
            return self._keep({**record, **more}, account_id)

    def _record(self, call: Call, caller: Caller, identity: Json | None, account: str, response: Response) -> Response:
        now = self._clock.now()
        response = self._own.answer(call, response, account, now)
        seen = Seen(call, response, account, caller, now)
        for part in self.parts:
            part.saw(seen)
        if not seen.denied:
            answers = (part.answer(seen) for part in self.parts)
            response = next((own for own in answers if own is not None), response)
        own_answer = response is not seen.response
        for part in self._witnesses:
            part.gave(replace(seen, response=response))
        if (call.service, call.operation) in UNSELECTED:
            return response
        request_id = self._state.ids.request_id(call.service)
        if call.service in DYNAMODB_SERVICES:
            response.replace_header("x-amzn-RequestId", request_id)
        failure, answer = _read_answer(call, response)
        if answer is not None:
            self._learn(call, answer, account, caller, now)
        if caller.recorded and (caller.selected or not is_data_event(call)):
            table_id = (answer or {}).get("TableDescription", {}).get("TableId")
            created = self._state.tables_created.get(table_id)
            made = Made(call, caller, account, now, request_id, answer, failure, created, own_answer)
            self._keep_copies(made, self._who(call, caller, identity, answer or {}))
        return response

    def _who(self, call: Call, caller: Caller, identity: Json | None, answer: Mapping[str, Any]) -> Json:
        if identity is None:
            return federated(call, answer)
        if caller.invoked_by and call.operation == "AssumeRole":
            return service_identity(caller.invoked_by)
        extra = {"invokedBy": caller.invoked_by} if caller.invoked_by else {}
        return {**identity, **caller.identity, **extra}

    def _learn(self, call: Call, answer: Mapping[str, Any], account: str, caller: Caller, now: datetime) -> None:
        if call.service in {"iam", "sts"}:
            self._state.identities.learn(call, answer, account, caller, now)
        elif call.service == "dynamodb" and call.operation == "CreateTable":
            names = [part["AttributeName"] for part in call.parameters["KeySchema"]]
            self._state.key_names[f"{account}/{call.region}/{call.parameters['TableName']}"] = names
            self._state.tables_created[answer["TableDescription"]["TableId"]] = now
        elif call.service == "dynamodb" and call.operation == "UpdateTable":
            table = call.parameters["TableName"]
            for update in call.parameters.get("ReplicaUpdates") or []:
                for wanted in update.values():
                    known = self._state.key_names.get(f"{account}/{call.region}/{table}", [])
                    self._state.key_names.setdefault(f"{account}/{wanted['RegionName']}/{table}", known)
        elif call.service == "cloudtrail":
            self._learn_trail(call, answer, account, now)

    def _learn_trail(self, call: Call, answer: Mapping[str, Any], account: str, now: datetime) -> None:
        """Digest chains begin with logging or validation, and end with them, whichever is switched."""
        name = call.parameters.get("Name") or call.parameters.get("TrailName") or ""
        before = self._state.trails.find(name, account)
        had_digests = before is not None and before.logging and before.validation
        if before is not None and call.operation in {"StopLogging", "UpdateTrail", "DeleteTrail"}:
            self._deliverer.deliver(now)
        trail = self._state.trails.learn(call, answer, account, now)
        if trail is None:
            return
        has_digests = trail.logging and trail.validation and call.operation != "DeleteTrail"
        if has_digests and not had_digests:
            self._deliverer.begin(trail, now)
        elif call.operation == "DeleteTrail" or (had_digests and not has_digests):
            self._deliverer.end(trail, now, at_once=call.operation != "StopLogging")

    def _keep_copies(self, made: Made, identity: Json) -> None:
        """Record the call in the caller's account and, for a role of another account, in that one too."""
        call, account = made.call, made.account_id

        def key_names(table: str) -> list[str]:
            return self._state.key_names.get(f"{account}/{call.region}/{table}", [])

        record = build(made, identity, key_names, self._sandbox_time)
        owner = call.parameters.get("RoleArn", "::::").split(":")[4] if call.service == "sts" else ""
        crosses = bool(owner) and owner != account and made.failure is None
        if crosses or identity["type"] == "AWSService":
            record["sharedEventID"] = self._state.ids.event_id()
        self._keep(record, account)
        if crosses:
            self._keep({**record, "userIdentity": foreign(identity)}, owner)

    def _sandbox_time(self, stamp: datetime) -> datetime:
        """Sandbox time of a stamp that ministack has just made; many of them are cut to the second."""
        age = wall.now() - stamp
        return self._clock.now() if timedelta() <= age < timedelta(seconds=1.2) else self._clock.at(stamp)

    def _keep(self, record: Json, recipient: str) -> Json:
        record = {**record, "eventID": self._state.ids.event_id(), "recipientAccountId": recipient}
        if record["managementEvent"]:
            self._state.history.setdefault(f"{recipient}/{record['awsRegion']}", []).append(record)
        taken = self._deliverer.take(record)
        if self.listener:
            self.listener(Recorded(record, taken.correction_id, taken.delivered))
        return record


def _is_unsigned_session(call: Call) -> bool:
    return not call.access_key_id and call.operation in {"AssumeRoleWithSAML", "AssumeRoleWithWebIdentity"}


def _read_answer(call: Call, response: Response) -> tuple[Failure | None, Mapping[str, Any] | None]:
    """The error, or the answer as the API names it; empty for data events, of whose answers nothing is recorded."""
    if response.status >= _FAILED:
        return _failure(response), None
    if is_data_event(call) or call.service == "s3":
        return None, {}
    if is_cbor(response):
        return None, read_cbor(response.body)
    model = service_model(call.service)
    if model.metadata["protocol"] == "query":
        parser = create_parser("query")
        raw = {"status_code": response.status, "headers": dict(response.headers), "body": response.body}
        parsed: Json = parser.parse(raw, cast("Shape", model.operation_model(call.operation).output_shape))
        return None, parsed
    answer = json.loads(response.body or b"{}")
    return None, answer


def _failure(response: Response) -> Failure:
    if is_cbor(response):
        error = read_cbor(response.body)
        return Failure(str(error.get("__type", response.status)).rsplit("#", 1)[-1], str(error.get("message", "")))
    text = response.body.decode(errors="replace")
    if found := _XML_ERROR.search(text):
        return Failure(found["code"], found["message"])
    try:
        error = json.loads(text)
    except ValueError:
        return Failure(str(response.status), "")
    code = str(error.get("__type", response.status)).rsplit("#", 1)[-1]
    return Failure(code, str(error.get("message") or error.get("Message") or ""))
