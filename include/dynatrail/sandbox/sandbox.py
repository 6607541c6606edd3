"""The sandbox as the rest of Dynatrail uses it: start, play a scenario, keep busy, stop.

Everything lies in one folder: ministack's state and objects, and the sandbox's own (keys learnt, records on their way,
digest chains, the signing key, the clock, what was played). Started again over the same folder, it is the same account.
A folder holds one scenario; one that was interrupted while playing is emptied and played again, with the same ids.
"""

import shutil
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

import boto3
from botocore.config import Config

from dynatrail.errors import SandboxError
from dynatrail.sandbox import state
from dynatrail.sandbox.access_analyzer import AccessAnalyzer
from dynatrail.sandbox.alarms import Alarms
from dynatrail.sandbox.backend import Backend, one_owner
from dynatrail.sandbox.clock import SandboxClock
from dynatrail.sandbox.deliverer import Deliverer
from dynatrail.sandbox.delivery import Delivery, Plan
from dynatrail.sandbox.digests import Signer
from dynatrail.sandbox.exports import Exports
from dynatrail.sandbox.hop import CALLER_HEADER, Hop
from dynatrail.sandbox.identities import Caller
from dynatrail.sandbox.identity_center import IdentityCenter
from dynatrail.sandbox.insights import Insights
from dynatrail.sandbox.journal import Journal
from dynatrail.sandbox.kinesis import Kinesis
from dynatrail.sandbox.logs import Logs
from dynatrail.sandbox.metrics import Metrics
from dynatrail.sandbox.own_answers import OwnAnswers
from dynatrail.sandbox.parts import Part
from dynatrail.sandbox.posture import Posture
from dynatrail.sandbox.posture_times import SandboxTimes
from dynatrail.sandbox.posture_uses import IdentityUses
from dynatrail.sandbox.recorder import Recorder
from dynatrail.sandbox.replicas import Replicas
from dynatrail.sandbox.state import Credentials, Played
from dynatrail.sandbox.streams import Streams
from dynatrail.sandbox.trail_insights import TrailInsights
from dynatrail.sandbox.ttl import TimeToLive

ORGANIZATION_ID = "o-exampleorgid"
PRODUCTION = "123456789012"
ANALYTICS = "210987654321"
REGIONS = {PRODUCTION: ("us-east-1", "eu-west-1"), ANALYTICS: ("us-east-1",)}
"""Accounts of the organization, its management account first, and the regions that each uses."""

Progress = Callable[[int, int, str], None]
"""Called with the calls made, the calls expected, and what is going on."""

_DIGEST_KEY = "digest-key.pem"
_CONFIG = Config(
    retries={"total_max_attempts": 1, "mode": "standard"},
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
    s3={"addressing_style": "path"},
)


class Sandbox:
    """A local AWS organization of two accounts; a context manager that starts and stops it.

    Args:
        folder: where all its state lies; made when missing.
        port: loopback port of `endpoint_url`; 0 for a free one.
        seed: of all ids; another one gives another account.
    """

    def __init__(self, folder: Path, port: int = 0, *, seed: str = "dynatrail") -> None:
        self.folder = folder.resolve()
        self._port = port
        self._seed = seed
        self._previous_handler: Any = None
        self._delivering = threading.Lock()
        self._making_client = threading.Lock()
        self._session = boto3.session.Session()

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        self._discard_interrupted()
        self._state = state.load(self.folder, self._seed)
        self._backend = Backend(self.folder, seed=self._seed)
        self.clock = SandboxClock(self._state.clock)
        signer = Signer(self.folder / _DIGEST_KEY)
        recorder = self._state.recorder
        own = OwnAnswers(recorder.trails, recorder.history, signer, ORGANIZATION_ID)
        self._deliverer = Deliverer(
            self._state.delivery, recorder.trails, signer, self._bucket_client, ORGANIZATION_ID, REGIONS
        )
        self.journal = Journal(self.folder, self.clock.now)
        self.parts = self._make_parts()
        self.recorder = Recorder(recorder, self.clock, self._deliverer, own, self.journal, tuple(self.parts.values()))
        if played := self._state.played:
            self._deliver_live(played.window[1])
        self._hop = Hop(self.recorder.observe, port=self._port, now=self.clock.now)
        self._handle_sigterm()
        try:
            self._start_backend()
            self._hop.start()
            if self._state.played and self._deliverer.is_digest_due(self.clock.now()):
                self.deliver()  # the hours in which the sandbox was stopped have their digests, too
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def endpoint_url(self) -> str:
        """Give this to boto3 as `endpoint_url`, or to an Airflow AWS connection."""
        return self._hop.url

    @property
    def auditor(self) -> Credentials:
        """The IAM user that the pipeline uses; it may do what docs/reference/iam-policy.json says, and nothing else.

        Raises:
            SandboxError: no scenario has been played, so there is no trail to read yet.
        """
        if self._state.auditor is None:
            raise SandboxError('The sandbox has no auditor before a scenario is played. Call play("clinic", …) first.')
        return Credentials(*self._state.auditor, region="us-east-1")

    @property
    def played(self) -> Played | None:
        """What was played in this folder."""
        return self._state.played

    def client(
        self, service: str, credentials: Credentials, *, region: str | None = None, caller: Caller | None = None
    ) -> Any:
        """A boto3 client whose calls are recorded as `caller`'s."""
        client = self._new_client(service, self.endpoint_url, credentials, region or credentials.region)
        if caller is not None:
            mark_calls(client, self.recorder.register(caller))
        return client

    def root(self, account_id: str, region: str = "us-east-1") -> Credentials:
        """The account's root: only to make what an account has before its history begins."""
        return Credentials(account_id, self._backend.root_secret, region)

    def play(
        self,
        scenario: str,
        *,
        end: datetime,
        days: int | None = None,
        delivery: Delivery | None = None,
        seed: int = 7,
        on_progress: Progress | None = None,
    ) -> Played:
        """Play `scenario` so that its window ends at `end`; what was played here before is returned as it is.

        Afterwards the sandbox clock runs on from `end` in step with real time.

        Args:
            scenario: `clinic` or `tiny`.
            end: end of the window, sandbox time; cut to the hour.
            days: length of the window; the scenario's own when None.
            delivery: how CloudTrail delivers; the scenario's own when None.
            seed: another one gives other people's days.
            on_progress: told about every few calls.

        Raises:
            SandboxError: there is no such scenario, or the folder holds another one.
        """
        from dynatrail.sandbox.scenarios import find

        script = find(scenario)
        if self._state.played is not None:
            if self._state.played.scenario != scenario:
                raise SandboxError(
                    f"The folder {self.folder} holds the scenario {self._state.played.scenario!r}. "
                    f"Play {scenario!r} in another folder, or remove this one."
                )
            return self._state.played
        end = end.replace(minute=0, second=0, microsecond=0)
        start = end - timedelta(days=days or script.days)
        delivery = replace(delivery or script.delivery, seed=seed)
        marker = self.folder / "playing"
        marker.write_text(scenario)
        self.clock.set(start)
        self._deliverer.plan = Plan(delivery, start, last=end - timedelta(minutes=65))
        self.streams.hold(end)
        played, auditor = script.play(self, start, end, delivery, seed, on_progress or _silent)
        self.deliver(end)
        self.clock.set(end, running=True)
        self._deliver_live(end)
        self._state.played, self._state.auditor = played, auditor
        self.checkpoint()
        marker.unlink()
        return played

    def pass_time(self, until: datetime) -> None:
        """Let sandbox time be `until`, and AWS do by itself what it would have done in between, but for delivering."""
        self.clock.set(until, running=self.clock.running)
        self.recorder.tick()

    def deliver(self, until: datetime | None = None) -> int:
        """Write the log files and digests due by `until` (the present sandbox time when None); the records written."""
        self.recorder.tick()
        with self._delivering:
            return self._deliverer.deliver(until or self.clock.now())

    def deliver_as(self, delivery: Delivery) -> None:
        """Let CloudTrail deliver like this from now on; times that `delivery` names count from now, too."""
        self._deliverer.plan = Plan(delivery, self.clock.now())

    def keep_busy(self, stop: threading.Event, rate_per_s: float = 1.0, *, every_s: float = 20) -> None:
        """Let the scenario's people and workloads go on working at real time, until `stop` is set.

        About `rate_per_s` calls a second; what they leave is delivered every `every_s` seconds.

        Raises:
            SandboxError: no scenario has been played.
        """
        from dynatrail.sandbox.scenarios import find

        if self._state.played is None:
            raise SandboxError('There is nobody to keep the sandbox busy. Call play("clinic", …) first.')
        find(self._state.played.scenario).keep_busy(self, stop, rate_per_s, every_s)

    def checkpoint(self) -> None:
        """Bring everything to disk, so that even a kill loses nothing of it. STS sessions end."""
        self._backend.stop()
        self._save()
        self._start_backend()

    def save(self) -> None:
        """Bring the sandbox's own state to disk; ministack's follows when it ends."""
        self._save()

    def _make_parts(self) -> dict[str, Part]:
        """What the sandbox does itself, in the order in which the parts see each call."""
        self.streams = Streams(self.journal, self.direct)
        self.time_to_live = TimeToLive(self.journal, self.direct)
        self.replicas = Replicas(self.journal, self.direct)
        self.exports = Exports(self.journal, self._bucket_client, lambda: self.clock.running)
        self.kinesis = Kinesis(self.journal)
        self.metrics = Metrics(self._seed, self.journal)
        trail_insights = TrailInsights(self._state.recorder.trails)
        self._deliverer.selected = trail_insights.count
        parts: tuple[Part, ...] = (
            self.streams,
            self.time_to_live,
            self.replicas,
            self.metrics,
            Alarms(self.metrics.store),
            Logs(),
            Insights(lambda: self.metrics.shapes),
            self.exports,
            self.kinesis,
            trail_insights,
            Posture(),
            IdentityUses(self._state.recorder.identities.keys, self.clock.at),
            IdentityCenter(),
            AccessAnalyzer(tuple(REGIONS)),
            SandboxTimes(self.clock.at),  # the last: only what no other part answers
        )
        state.load_parts(self.folder, parts)
        return {part.name: part for part in parts}

    def _deliver_live(self, since: datetime) -> None:
        """From now on every record goes into the next file, as somebody is waiting for it."""
        self._deliverer.plan = Plan(Delivery.regular(immediate=True), since)

    def _start_backend(self) -> None:
        self._backend.start()
        self._hop.upstream_port = self._backend.port
        self._direct_clients: dict[tuple[str, str, str], Any] = {}

    def _bucket_client(self) -> Any:
        """Writes as CloudTrail itself does: past the recorder, allowed by the bucket's owner."""
        return self.direct("s3", PRODUCTION, REGIONS[PRODUCTION][0])

    def direct(self, service: str, account_id: str, region: str) -> Any:
        """A client of the account's root at ministack itself, past the recorder: what AWS does by itself."""
        place = (service, account_id, region)
        if place not in self._direct_clients:
            root = self.root(account_id, region)
            self._direct_clients[place] = self._new_client(service, self._backend.url, root, region)
        return self._direct_clients[place]

    def _new_client(self, service: str, url: str, credentials: Credentials, region: str) -> Any:
        with self._making_client:  # a session reads each service's model once, but is not thread-safe
            return self._session.client(
                service,  # type: ignore[call-overload]  # the stubs want a literal
                endpoint_url=url,
                region_name=region,
                aws_access_key_id=credentials.access_key_id,
                aws_secret_access_key=credentials.secret_access_key,
                aws_session_token=credentials.session_token,
                config=_CONFIG,
            )

    def _save(self) -> None:
        self._state.clock = list(self.clock.breakpoints)
        state.save(self.folder, self._state, self.parts.values())

    def _discard_interrupted(self) -> None:
        """Empty a folder whose scenario was cut short: half a history cannot be continued with the same ids.

        The key that signs digests stays: CloudTrail's is the same, whatever becomes of an account.
        """
        if not (self.folder / "playing").exists():
            return
        with one_owner(self.folder / "ministack.lock"):
            for entry in self.folder.iterdir():
                if entry.is_dir():
                    shutil.rmtree(entry)
                elif entry.name not in {"ministack.lock", "playing", _DIGEST_KEY}:
                    entry.unlink()
            (self.folder / "playing").unlink()

    def _stop(self) -> None:
        self._hop.stop()
        self._backend.stop()
        self.journal.close()
        if not (self.folder / "playing").exists():
            self._save()
        if self._previous_handler is not None:
            signal.signal(signal.SIGTERM, self._previous_handler)
            self._previous_handler = None

    def _handle_sigterm(self) -> None:
        """Let SIGTERM unwind the `with` block; only a main thread may ask for signals."""

        def leave(number: int, _frame: FrameType | None) -> None:
            raise SystemExit(128 + number)

        with suppress(ValueError):
            previous = signal.getsignal(signal.SIGTERM)
            signal.signal(signal.SIGTERM, leave)
            self._previous_handler = previous


def mark_calls(client: Any, token: str) -> None:
    """Put the caller's header on every request of `client`, after signing."""

    def add(request: Any, **_: Any) -> None:
        request.headers[CALLER_HEADER] = token

    client.meta.events.register("before-send.*.*", add)


def _silent(_done: int, _total: int, _text: str) -> None:
    pass
