import json
import os
import socket
import subprocess
import sys

import pytest

from dynatrail.errors import QualityError
from dynatrail.quality import docs
from dynatrail.quality.gate import check

SECRET = "jane.roe@example.com"


@pytest.fixture
def offline(monkeypatch):
    def refuse(*_):
        raise AssertionError("something wanted the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_each_kept_result_has_a_page_that_shows_counts_but_no_value(events, parameters, tmp_path, offline):
    for number, wrong in enumerate(({}, {5: {"event_name": SECRET}})):
        record = tmp_path / "results" / "api_event" / f"run-{number}.json"
        check(events(8, wrong), "api_event", record=record, parameters=parameters)

    index = docs.build(tmp_path / "results", tmp_path / "site")

    pages = [p for p in index.parent.rglob("*.html") if "run-" in str(p)]
    assert {p.parent.parent.name for p in pages} == {"run-0", "run-1"}
    assert "Succeeded" in next(p for p in pages if "run-0" in str(p)).read_text()
    assert "Failed" in next(p for p in pages if "run-1" in str(p)).read_text()
    assert all(SECRET not in p.read_text() for p in index.parent.rglob("*.html"))
    assert "run-1" in index.read_text()


def test_only_the_latest_results_are_shown(events, parameters, tmp_path):
    for number in range(3):
        record = tmp_path / "results" / f"run-{number}.json"
        check(events(2), "api_event", record=record, parameters=parameters)
        os.utime(record, (1_800_000_000 + number, 1_800_000_000 + number))

    index = docs.build(tmp_path / "results", tmp_path / "site", latest=2)

    assert "run-0" not in index.read_text()
    assert "run-1" in index.read_text()


def test_the_command_says_its_result_and_nothing_else(events, parameters, tmp_path):
    for name, rows in (("met", events(8)), ("missed", events(8, {5: {"event_name": SECRET}}))):
        check(rows, "api_event", record=tmp_path / "quality" / f"{name}.json", parameters=parameters)
    raised = json.loads((tmp_path / "quality" / "met.json").read_text())
    for result in raised["results"]:
        result |= {"success": False, "result": {}, "exception_info": {"raised_exception": True}}
    (tmp_path / "quality" / "raised.json").write_text(json.dumps(raised))

    done = subprocess.run(
        [sys.executable, "-m", "dynatrail", "data-docs"],
        env=os.environ | {"DYNATRAIL_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, f"{tmp_path}/data-docs/index.html\n", "")


def test_no_result_yet_says_what_to_run(tmp_path):
    with pytest.raises(QualityError, match="extract_cloudtrail"):
        docs.build(tmp_path, tmp_path / "site")


def test_a_file_that_is_no_result_is_named(tmp_path):
    (tmp_path / "other.json").write_text("{}")

    with pytest.raises(QualityError, match=r"other\.json"):
        docs.build(tmp_path, tmp_path / "site")
