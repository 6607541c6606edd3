"""What a sandbox keeps in its folder, beside ministack's own state."""

import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from dynatrail.sandbox.clock import Breakpoint
from dynatrail.sandbox.deliverer import DeliveryState
from dynatrail.sandbox.delivery import Delivery
from dynatrail.sandbox.parts import Part
from dynatrail.sandbox.recorder import RecorderState
from dynatrail.sandbox.records import Ids


@dataclass(frozen=True)
class Credentials:
    """An access key and the region to use it in; `repr` hides the secret."""

    access_key_id: str
    secret_access_key: str
    region: str
    session_token: str | None = None

    def __repr__(self) -> str:
        return f"Credentials({self.access_key_id}, {self.region})"


class Played(msgspec.Struct, frozen=True, kw_only=True):
    """What a scenario has left behind.

    Attributes:
        window: [start, end) of the scenario in sandbox time; every record of it is delivered before `end`.
        trail_prefix: key prefix before `AWSLogs/`; empty for none.
        organization_id: folder below `AWSLogs/`; empty in the single-account layout.
        trail_arns: in the order of `accounts`; one for all in the organization layout.
        ground_truth: JSON lines, one for each record; see docs/reference/sandbox.md.
        summary: window, counts and incidents, as they also lie beside the ground truth.
        export_bucket, export_prefix: where exports may go.
        kinesis_tables: tables whose changes are to be read from their Kinesis destination.
    """

    scenario: str
    window: tuple[datetime, datetime]
    trail_bucket: str
    trail_prefix: str
    organization_id: str
    accounts: tuple[str, ...]
    regions: tuple[str, ...]
    trail_arns: tuple[str, ...]
    ground_truth: Path
    summary: dict[str, Any]
    export_bucket: str = ""
    export_prefix: str = ""
    kinesis_tables: tuple[str, ...] = ()

    @property
    def trail_arn(self) -> str:
        return self.trail_arns[0]


class State(msgspec.Struct):
    """Everything but the parts and the journal."""

    recorder: RecorderState
    delivery: DeliveryState = msgspec.field(default_factory=DeliveryState)
    clock: list[Breakpoint] = []
    auditor: tuple[str, str] | None = None
    played: Played | None = None


def load(folder: Path, seed: str) -> State:
    """What is kept in `folder`; a new state where there is none."""
    path = folder / "sandbox.state"
    if not path.exists():
        return State(RecorderState(Ids(seed)))
    state = msgspec.msgpack.decode(path.read_bytes(), type=State, dec_hook=_read_path)
    if state.played:  # the folder may have been moved since
        here = folder / "truth" / state.played.ground_truth.name
        state.played = msgspec.structs.replace(state.played, ground_truth=here)
    return state


def load_parts(folder: Path, parts: Iterable[Part]) -> None:
    """Let each part go on from where it was."""
    for part in parts:
        saved = folder / "parts" / f"{part.name}.state"
        if saved.exists():
            part.load(saved.read_bytes())


def save(folder: Path, state: State, parts: Iterable[Part]) -> None:
    """Keep everything; each file is replaced whole."""
    (folder / "parts").mkdir(exist_ok=True)
    for part in parts:
        _replace(folder / "parts" / f"{part.name}.state", part.save())
    _replace(folder / "sandbox.state", msgspec.msgpack.encode(state, enc_hook=str))


def delivery_as_json(delivery: Delivery) -> dict[str, Any]:
    """A `Delivery` as plain JSON, for a scenario's summary."""
    return {**asdict(delivery), "grid": delivery.grid.total_seconds()}


def _read_path(kind: type, value: Any) -> Any:
    return kind(value)


def _replace(path: Path, content: bytes) -> None:
    new = path.with_suffix(".new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    new.replace(path)
