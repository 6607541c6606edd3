"""What a scenario is, and how its days are played."""

import random
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from dynatrail.sandbox.delivery import Delivery
from dynatrail.sandbox.sandbox import Progress, Sandbox
from dynatrail.sandbox.scenarios import people, workloads
from dynatrail.sandbox.scenarios.house import build_house, make_auditor, played
from dynatrail.sandbox.scenarios.house_trails import make_trails
from dynatrail.sandbox.scenarios.practice import Practice, open_practice, resume_practice
from dynatrail.sandbox.scenarios.stage import Actor, Stage
from dynatrail.sandbox.scenarios.truth import Truth
from dynatrail.sandbox.scenarios.truth_changes import ChangeTruth
from dynatrail.sandbox.state import Played, delivery_as_json

Json = dict[str, Any]

QUIET = timedelta(minutes=90)
"""Nothing happens in the window's last part, so that everything is delivered, and in a digest, before it ends."""


@dataclass(frozen=True)
class Act:
    """Something that happens at an instant."""

    at: datetime
    play: Callable[["Cast"], None]


@dataclass
class Cast:
    """The practice and who is signed in just now."""

    practice: Practice
    signed_in: dict[str, Actor] = field(default_factory=dict)

    def person(self, name: str) -> Actor:
        """Signed in on first use."""
        if name not in self.signed_in:
            self.signed_in[name] = people.sign_in(self.practice, name)
        return self.signed_in[name]

    def booking_api(self) -> Actor:
        if "booking-api" not in self.signed_in:
            self.signed_in["booking-api"] = workloads.start_booking_api(self.practice)
        return self.signed_in["booking-api"]

    def sign_out(self, *names: str) -> None:
        for name in names or tuple(self.signed_in):
            self.signed_in.pop(name, None)


@dataclass(frozen=True)
class Scenario:
    """A scenario: its acts, and how it is delivered when the caller does not say.

    Attributes:
        acts: all that happens in a window, in any order; random numbers come from the generator given.
        patients: how many there are at the beginning.
        expected: about how many calls it makes in `days` days.
    """

    name: str
    days: int
    delivery: Delivery
    acts: Callable[[datetime, datetime, random.Random], Iterable[Act]]
    patients: int
    expected: int

    def play(
        self,
        sandbox: Sandbox,
        start: datetime,
        end: datetime,
        delivery: Delivery,
        seed: int,
        on_progress: Progress,
    ) -> tuple[Played, tuple[str, str]]:
        """Play it on a sandbox whose clock stands at `start`; what was played, and the auditor's key."""
        truth = Truth(sandbox.folder / "truth", self.name)
        changes = ChangeTruth(sandbox.folder / "truth", self.name, sandbox.direct)
        stage = Stage(sandbox, truth, seed, changes=changes)
        try:
            build_house(sandbox, stage, delivery)
            trail_arns = make_trails(sandbox, stage, delivery)
            practice = open_practice(sandbox, stage, self.patients)
            practice.trail_arn = trail_arns[0]
            auditor = make_auditor(sandbox, delivery)
            stage.begin()
            days = max((end - start) / timedelta(days=1), 1)
            stage.announce(on_progress, round(self.expected * days / self.days))
            cast = Cast(practice)
            acts = self.acts(start, end - QUIET, random.Random(f"{self.name} {seed}"))
            for act in sorted(acts, key=lambda act: act.at):
                if start <= act.at and max(act.at, stage.now) < end - QUIET:
                    stage.until(act.at)
                    act.play(cast)
            stage.until(end)  # what expires and replicates in the quiet hours still belongs to the history
            count = changes.close()
        finally:
            stage.finish()
        more = {"scenario": self.name, "seed": seed, "delivery": delivery_as_json(delivery), "changes": count}
        summary = truth.close(start, end, more)
        on_progress(truth.calls, truth.calls, "delivering the last log files")
        made = played(self.name, delivery, trail_arns, window=(start, end), ground_truth=truth.path, summary=summary)
        return made, auditor

    def keep_busy(self, sandbox: Sandbox, stop: threading.Event, rate_per_s: float, every_s: float) -> None:
        """Daily work at real time, in no particular order, until `stop` is set."""
        stage = Stage(sandbox, None, int(sandbox.clock.now().timestamp()), live=True)
        cast = Cast(resume_practice(sandbox, stage))
        delivered = signed_in = sandbox.clock.now()
        while not stop.is_set():
            DAILY[stage.random.randrange(len(DAILY))](cast)
            now = sandbox.clock.now()
            if (now - signed_in).total_seconds() > _SESSION_SECONDS:
                cast.sign_out()
                signed_in = now
            if (now - delivered).total_seconds() >= every_s:
                sandbox.deliver()
                sandbox.save()
                delivered = now
            stop.wait(_CALLS_PER_ROUTINE / rate_per_s)
        sandbox.deliver()
        sandbox.save()


_SESSION_SECONDS = 2400
_CALLS_PER_ROUTINE = 3.5

DAILY: tuple[Callable[[Cast], None], ...] = (
    lambda cast: people.check_in(cast.practice, cast.person("nurse.alice")),
    lambda cast: people.check_in(cast.practice, cast.person("nurse.bo")),
    lambda cast: people.register_patient(cast.practice, cast.person("nurse.carmen")),
    lambda cast: people.look_up(cast.practice, cast.person("nurse.alice")),
    lambda cast: people.visit(cast.practice, cast.person("dr.eriksen")),
    lambda cast: people.visit(cast.practice, cast.person("dr.farah")),
    lambda cast: people.cancel(cast.practice, cast.person("dr.farah")),
    lambda cast: workloads.book(cast.practice, cast.booking_api()),
    lambda cast: workloads.book(cast.practice, cast.booking_api()),
    lambda cast: workloads.tidy_sessions(cast.practice, cast.booking_api()),
    lambda cast: workloads.scale(cast.practice),
)
"""Routines that everyday work consists of."""
