from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dynatrail.privacy.tokens import Tokenizer
from dynatrail.settings import Settings
from dynatrail.sources.changes.rows import ChangedTable
from dynatrail.sources.streams import statements
from dynatrail.sources.streams.client import StreamsClient
from dynatrail.sources.streams.run import Run
from dynatrail.state import pending
from dynatrail.state import streams as state
from dynatrail.warehouse.store import Warehouse

from .server import ACCOUNT, REGION, START, StreamsServer, table_arn

KEY = bytes(range(32))


@pytest.fixture
def server():
    made = StreamsServer()
    yield made
    made.close()


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("DYNATRAIL_HOME", str(tmp_path))
    return tmp_path


@dataclass
class Reading:
    """Reads tables of the server as one task of the DAG does, and looks at what came of it."""

    server: StreamsServer
    home: Path

    def __post_init__(self) -> None:
        self.warehouse = Warehouse(str(self.home / "warehouse"))
        self.number = 0

    def read(self, *tables: str, alarm_after: timedelta = timedelta(hours=18)) -> Run:
        self.number += 1
        run = Run(
            self.warehouse,
            StreamsClient(self.server.client(), reads_per_s=1_000),
            Tokenizer(KEY),
            self.home / "quality" / f"run-{self.number}",
            alarm_after,
        )
        run.read([ChangedTable(ACCOUNT, REGION, name, table_arn(name)) for name in tables])
        return run

    def rows(self, *columns: str) -> list[Any]:
        rows = self.warehouse.dataset("item_change").to_table().to_pylist()
        rows.sort(key=lambda row: (row["table_name"], int(row["sequence_number"])))
        return [row[columns[0]] if len(columns) == 1 else tuple(row[c] for c in columns) for row in rows]

    def sequences(self) -> list[str]:
        return self.rows("sequence_number")

    def gaps(self) -> list[tuple[str, float, float]]:
        """Reason, start and end in hours after START."""
        hours = lambda at: round((at - START) / timedelta(hours=1), 3)  # noqa: E731
        return [(gap.reason, hours(gap.starts_at), hours(gap.ends_at)) for gap in state.gaps()]

    def statements(self) -> dict[tuple[str, int], tuple[str, list[str]]]:
        """(Table, hours after START) -> status and reasons, as `extract_streams` states them after a run."""
        settings = Settings(home=self.home)
        with pending.working(state.STATEMENTS, ()) as hours:
            statements.rebuild_all(settings, hours)
        rows = self.warehouse.dataset("source_statement").to_table().to_pylist()
        return {
            (row["table_name"], (row["event_hour"] - START) // timedelta(hours=1)): (row["status"], row["reasons"])
            for row in rows
        }


@pytest.fixture
def reading(server, home):
    return Reading(server, home)
