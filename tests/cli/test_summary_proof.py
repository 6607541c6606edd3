from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from dynatrail.cli import screen, summary_proof

AT = datetime(2026, 11, 1, 3, tzinfo=UTC)
NOTHING = {"digests": [], "files": [], "coverage": [], "findings": []}


def shown(**parts):
    out = Console(record=True, width=screen.WIDTH, file=open("/dev/null", "w"), highlight=False)  # noqa: PTH123, SIM115
    summary_proof.show(out, NOTHING | parts)
    return out.export_text()


def finding(**more):
    row = {"severity": "High", "event_time": AT, "ends_at": None, "title": "A thing is missing", "how_many": None}
    return row | more


def test_home_without_any_proof_says_what_is_not_known():
    text = shown()
    assert "digests    none was read" in text
    assert "hours      nothing is stated yet: run prove_trail" in text
    assert "findings   no finding" in text


def test_digests_and_files_are_counted_by_what_is_known_of_them():
    text = shown(
        digests=[{"status": "valid", "digests": 1007, "chains": 3}, {"status": "missing", "digests": 1, "chains": 1}],
        files=[{"status": "attested", "files": 1577}, {"status": "not_yet_attested", "files": 2}],
    )
    assert "digests    1,007 of 1,008 valid, of 3 chains; 1 missing" in text
    assert "log files  1,577 attested, 2 not yet attested" in text


def test_hours_are_counted_by_statement_and_the_most_frequent_reasons_follow():
    def row(statement, code, hours, tables=None):
        return {"statement": statement, "code": code, "hours": hours, "tables": tables}

    text = shown(
        coverage=[
            row("complete", None, 90, 7),
            row("incomplete", None, 3, 1),
            row("incomplete", "count_shortfall", 3),
            row("incomplete", "stream_gap", 1),
        ]
    )
    assert "hours      of 7 tables: 90 complete, 3 incomplete" in text
    assert "incomplete by: count_shortfall 3, stream_gap 1" in text
    assert "1,7" not in text


@pytest.mark.parametrize(
    ("ends", "when"),
    [
        (None, "11-01 03:00 "),
        (timedelta(0), "11-01 03:00 "),
        (timedelta(hours=2), "11-01 03:00-05:00"),
        (timedelta(days=1), "11-01 03:00-11-02 03:00"),
    ],
    ids=["a_moment", "an_instant", "hours", "days"],
)
def test_finding_is_a_line_with_severity_time_title_and_number(ends, when):
    text = shown(findings=[finding(ends_at=None if ends is None else AT + ends, how_many=1200)])
    (line,) = [line for line in text.splitlines() if "A thing is missing" in line]
    assert line.split()[0] == "High"
    assert when in line
    assert line.rstrip().endswith("1,200")


def test_title_cannot_write_markup():
    assert "[red]x[/]" in shown(findings=[finding(title="[red]x[/]")])


def test_everything_fits_the_page():
    text = shown(findings=[finding(title="word " * 60)])
    assert max(map(len, text.splitlines())) <= screen.WIDTH
