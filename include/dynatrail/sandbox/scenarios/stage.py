"""The stage that a scenario plays on: actors, the clock, and the writing down of what they do."""

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.session import get_session

from dynatrail.clock import iso
from dynatrail.sandbox.identities import Caller
from dynatrail.sandbox.parameters import tables_of
from dynatrail.sandbox.sandbox import ANALYTICS, PRODUCTION, Progress, Sandbox, mark_calls
from dynatrail.sandbox.scenarios.tokens import saml_assertion, web_identity_token
from dynatrail.sandbox.scenarios.truth import Incident, Item, Planted, Truth, items_of
from dynatrail.sandbox.scenarios.truth_changes import ChangeTruth
from dynatrail.sandbox.state import Credentials

if TYPE_CHECKING:
    from dynatrail.sandbox.recorder import Recorded

Json = dict[str, Any]

HOME = "us-east-1"
SAML_PROVIDER = "AWSSSO_1f2e3d4c5b6a_DO_NOT_DELETE"
IDENTITY_STORE = f"arn:aws:identitystore::{PRODUCTION}:identitystore/d-1234567890"
_PROGRESS_EVERY = 50


@dataclass
class Actor:
    """Somebody who calls: a person, a workload or a service, with what they call with.

    Attributes:
        kind: person, workload or service.
        chain: how they came to their present credentials, first link first.
        incident: the incident that all their calls belong to.
    """

    name: str
    kind: str
    account_id: str
    caller: Caller
    credentials: Credentials | None = None
    chain: list[str] = field(default_factory=list)
    incident: str | None = None
    clients: dict[tuple[str, str], Any] = field(default_factory=dict)

    @property
    def truth(self) -> Json:
        return {"kind": self.kind, "name": self.name, "chain": self.chain}

    def becomes(self, credentials: Credentials, link: str, **changes: Any) -> "Actor":
        """The same actor with other credentials."""
        return replace(self, credentials=credentials, chain=[*self.chain, link], clients={}, **changes)


@dataclass(frozen=True)
class Outcome:
    """What a call gave: the answer, or the error code."""

    answer: Json
    error: str | None = None

    @property
    def ok(self) -> bool:
        return self.error is None


class Stage:
    """Plays calls one after the other, each at its sandbox instant.

    Attributes:
        random: the only source of chance, so that a seed makes the scenario.
        live: at real time; the clock is then left alone.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        truth: Truth | None,
        seed: int,
        *,
        changes: ChangeTruth | None = None,
        live: bool = False,
    ) -> None:
        self.sandbox = sandbox
        self.random = random.Random(f"scenario {seed}")
        self.live = live
        self._truth = truth
        self._changes = changes
        self._recorded: list[Recorded] = []
        self._keys: dict[str, tuple[str, ...]] = {}
        self._session = get_session()
        self._progress: tuple[Progress, int] = (lambda _done, _total, _text: None, 0)
        sandbox.recorder.listener = self._recorded.append if truth else None
        sandbox.time_to_live.listener = changes.expires if changes else None
        sandbox.replicas.listener = changes.replicates if changes else None

    @property
    def now(self) -> datetime:
        return self.sandbox.clock.now()

    def announce(self, on_progress: Progress, expected: int) -> None:
        self._progress = (on_progress, expected)

    def know_table(self, name: str, keys: tuple[str, ...], *regions: str) -> None:
        """Tell the ground truth a table's key attributes, and the regions that it is in."""
        self._keys[name] = keys
        if self._changes:
            for region in regions:
                self._changes.know_table((PRODUCTION, region, name), keys)

    def begin(self) -> None:
        """The history begins: what is in the tables by now, nobody is recorded to have written."""
        if self._changes:
            self._changes.read_all(self.now)

    def until(self, instant: datetime) -> None:
        """Let sandbox time be `instant`, or leave it where it is when that has passed."""
        if not self.live and instant > self.now:
            self.sandbox.pass_time(instant)

    def wait(self, least: float = 1, most: float = 6) -> None:
        """Let a few seconds pass, as between two clicks or two lines of a program."""
        self.until(self.now + timedelta(seconds=self.random.uniform(least, most)))

    @contextmanager
    def incident(self, name: str, title: str, actor: Actor, tables: list[str], region: str = HOME) -> Iterator[None]:
        """Everything that `actor` does inside belongs to a planted incident."""
        if self._truth:
            self._truth.incidents.setdefault(
                name, Incident(name, title, iso(self.now), actor.name, actor.account_id, region, tables)
            )
        before, actor.incident = actor.incident, name
        try:
            yield
        finally:
            actor.incident = before

    def call(
        self,
        actor: Actor,
        operation: str,
        region: str = HOME,
        *,
        service: str = "dynamodb",
        items: list[Item] | None = None,
        pause: tuple[float, float] = (0.4, 3),
        **sent: Any,
    ) -> Outcome:
        """Make one boto3 call (`operation` as the API names it); errors that AWS would answer with are an outcome.

        `pause` is how many seconds pass afterwards, at least and at most.
        """
        client = self._client(actor, service, region)
        named = items if items is not None else items_of(operation, sent, self._keys)
        if self._changes:
            ending = [sent["TableName"]] if operation == "DeleteTable" else []
            self._changes.about_to_call(actor.account_id, region, named, ending)
        self._recorded.clear()
        try:
            outcome = Outcome(getattr(client, _METHODS[operation])(**sent))
        except ClientError as error:
            outcome = Outcome({}, error.response["Error"]["Code"])
        dynamodb = service in {"dynamodb", "dynamodbstreams"}
        if self._truth and dynamodb:
            tables = dict.fromkeys(item.table for item in named) or tables_of(operation, sent)
            self._truth.requests.made(
                actor.account_id, region, operation, tables, outcome.answer, outcome.error, self.now
            )
        self._note(actor, named, tables_of(operation, sent) if dynamodb else [])
        if self._changes and self._truth and outcome.error != "AccessDeniedException":
            if operation == "DeleteTable" and outcome.ok:
                self._changes.dropped(actor.account_id, region, sent["TableName"])
            event_ids = [one.record["eventID"] for one in self._recorded]
            self._changes.called(actor.account_id, region, named, self.now, call=self._truth.calls, event_ids=event_ids)
        self.wait(*pause)
        return outcome

    def inject(
        self,
        actor: Actor,
        source: str,
        name: str,
        region: str = HOME,
        *,
        identity: Json,
        tables: tuple[str, ...] = (),
        **more: Any,
    ) -> None:
        """Record something that no signed call stands behind, as `actor`'s doing."""
        self._recorded.clear()
        self.sandbox.recorder.inject(
            source, name, account_id=actor.account_id, region=region, identity=identity, caller=actor.caller, **more
        )
        self._note(actor, [], list(tables))

    def assume(self, actor: Actor, role_arn: str, session_name: str, **more: Any) -> Actor | None:
        """AssumeRole with the actor's credentials; None when denied."""
        outcome = self.call(
            actor,
            "AssumeRole",
            service="sts",
            RoleArn=role_arn,
            RoleSessionName=session_name,
            DurationSeconds=3600,
            **more,
        )
        if not outcome.ok:
            return None
        return actor.becomes(_credentials(outcome), role_arn, account_id=role_arn.split(":")[4])

    def start_workload(self, actor: Actor, role_arn: str, session_name: str, service: str, resource_arn: str) -> Actor:
        """A service (Lambda, ECS) takes a role for the workload; the AssumeRole record names the service."""
        taker = Actor(actor.name, actor.kind, actor.account_id, Caller(invoked_by=service))
        taker.credentials = self.sandbox.root(actor.account_id)
        outcome = self.call(
            taker, "AssumeRole", service="sts", RoleArn=role_arn, RoleSessionName=session_name, DurationSeconds=3600
        )
        issuer = {"lambda.amazonaws.com": "AWS::Lambda::Function", "ecs-tasks.amazonaws.com": "AWS::ECS::Task"}[service]
        scope = {"issuerType": issuer, "credentialsIssuedTo": resource_arn}
        caller = _changed(actor.caller, identity={"inScopeOf": scope})
        return actor.becomes(_credentials(outcome), role_arn, caller=caller)

    def sign_in(self, person: Actor, role_arn: str, email: str, user_id: str) -> Actor:
        """Identity Center: sign-in and federation (injected), then a real AssumeRoleWithSAML for the role."""
        store = {"userId": user_id, "identityStoreArn": IDENTITY_STORE}
        identity = {
            "type": "IdentityCenterUser",
            "accountId": person.account_id,
            "onBehalfOf": store,
            "credentialId": self._hex(32),
        }
        service = {"eventType": "AwsServiceEvent", "readOnly": False}
        self.inject(
            person,
            "signin.amazonaws.com",
            "UserAuthentication",
            identity=identity,
            fields={
                **service,
                "additionalEventData": {
                    "CredentialType": "PASSWORD,TOTP",
                    "LoginTo": "https://d-1234567890.awsapps.com/start",
                },
                "serviceEventDetails": {"UserAuthentication": "Success"},
            },
        )
        self.inject(
            person,
            "sso.amazonaws.com",
            "Federate",
            identity=identity,
            fields={
                **service,
                "serviceEventDetails": {
                    "role_name": role_arn.rsplit("/", 1)[-1].split("_")[1],
                    "account_id": person.account_id,
                },
            },
        )
        outcome = self.call(
            person,
            "AssumeRoleWithSAML",
            service="sts",
            RoleArn=role_arn,
            PrincipalArn=f"arn:aws:iam::{person.account_id}:saml-provider/{SAML_PROVIDER}",
            SAMLAssertion=saml_assertion(email),
        )
        caller = _changed(person.caller, identity={"onBehalfOf": store}, mfa=True)
        return person.becomes(_credentials(outcome), role_arn, caller=caller)

    def sign_in_to_console(self, user: Actor) -> Actor:
        """An IAM user signs in to the console: ConsoleLogin (injected), then a session whose issue is not recorded."""
        silent = Actor(user.name, user.kind, user.account_id, Caller(recorded=False, mfa=True), user.credentials)
        session = self._client(silent, "sts", HOME).get_session_token()
        credentials = _credentials(Outcome(session))
        known = self.sandbox.recorder.identity_of(credentials.access_key_id)
        identity = {name: known[name] for name in ("type", "principalId", "arn", "accountId", "userName")}
        self.inject(
            user,
            "signin.amazonaws.com",
            "ConsoleLogin",
            identity=identity,
            response_elements={"ConsoleLogin": "Success"},
            fields={
                "eventType": "AwsConsoleSignIn",
                "additionalEventData": {
                    "LoginTo": "https://console.aws.amazon.com/dynamodbv2/home",
                    "MobileVersion": "No",
                    "MFAUsed": "Yes",
                },
            },
        )
        caller = _changed(user.caller, console=True)
        return user.becomes(credentials, "console", caller=caller)

    def with_web_identity(self, actor: Actor, role_arn: str, session_name: str, claims: Json) -> Actor:
        """AssumeRoleWithWebIdentity with a token of an outside issuer, such as a build service."""
        outcome = self.call(
            actor,
            "AssumeRoleWithWebIdentity",
            service="sts",
            RoleArn=role_arn,
            RoleSessionName=session_name,
            WebIdentityToken=web_identity_token(claims),
        )
        return actor.becomes(_credentials(outcome), role_arn)

    def plant(self, planted: Planted) -> None:
        """Write down what was done to the trail or a stream, for the ground truth."""
        if self._truth:
            self._truth.planted.append(planted)

    @property
    def hidden(self) -> Mapping[tuple[str, str, str, str], int]:
        """Successful calls whose records no trail selects: (account, region, table's ARN, operation) -> how many."""
        return self._truth.hidden if self._truth else {}

    def changes_between(self, table_arn: str, start: datetime, end: datetime) -> int:
        """How many of a table's items changed in [start, end)."""
        return self._changes.count(table_arn, start, end) if self._changes else 0

    @property
    def last_event_ids(self) -> list[str]:
        """Of the records that the last call left."""
        return [one.record["eventID"] for one in self._recorded]

    def finish(self) -> None:
        self.sandbox.recorder.listener = None
        self.sandbox.time_to_live.listener = self.sandbox.replicas.listener = None

    def _note(self, actor: Actor, items: list[Item], tables: list[str]) -> None:
        if self._truth is None:
            return
        self._truth.write(self._recorded, actor=actor.truth, items=items, tables=tables, incident=actor.incident)
        report, expected = self._progress
        if self._truth.calls % _PROGRESS_EVERY == 0:
            report(self._truth.calls, max(expected, self._truth.calls), f"{self.now:%A %d %B, %H:%M}")

    def _client(self, actor: Actor, service: str, region: str) -> Any:
        found = actor.clients.get((service, region))
        if found is None:
            who = actor.credentials
            found = self._session.create_client(
                service,
                region_name=region,
                endpoint_url=self.sandbox.endpoint_url,
                aws_access_key_id=who.access_key_id if who else None,
                aws_secret_access_key=who.secret_access_key if who else None,
                aws_session_token=who.session_token if who else None,
                config=_PLAIN if who else _PLAIN.merge(Config(signature_version=UNSIGNED)),
            )
            mark_calls(found, self.sandbox.recorder.register(actor.caller))
            actor.clients[service, region] = found
        return found

    def _hex(self, length: int) -> str:
        return f"{self.random.getrandbits(4 * length):0{length}x}"


_PLAIN = Config(retries={"total_max_attempts": 1, "mode": "standard"})


class _Methods(dict[str, str]):
    """boto3's method of an API operation."""

    def __missing__(self, operation: str) -> str:
        from botocore import xform_name

        self[operation] = xform_name(operation)
        return self[operation]


_METHODS = _Methods()


def _changed(caller: Caller, **changes: Any) -> Caller:
    import msgspec

    return msgspec.structs.replace(caller, **changes)


def _credentials(outcome: Outcome) -> Credentials:
    given = outcome.answer["Credentials"]
    return Credentials(given["AccessKeyId"], given["SecretAccessKey"], HOME, given["SessionToken"])


Act = Callable[[], None]
__all__ = ["ANALYTICS", "HOME", "PRODUCTION", "SAML_PROVIDER", "Act", "Actor", "Outcome", "Stage"]
