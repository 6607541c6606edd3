"""`python -m dynatrail timeline`."""

import json
import re

import pytest

WINDOW = ("--from", "2026-11-01T03:00:00Z", "--to", "2026-11-01T04:00:00Z")


def ids(out):
    return [record["event_id"] for record in json.loads(out)["records"]]


def test_page_is_a_table_that_names_the_next(cli, trail):
    code, out, _ = cli("timeline", *WINDOW, "--limit", "7")
    assert code == 0
    assert out.count("jane read an item") == 7
    cursor = re.search(r"There are more: --after (\S+)", out)[1]
    assert cursor == f"2026-11-01T03:00:06Z~{6:064d}"


def test_cursors_lead_through_all_records_once(cli, trail):
    told, after = [], ()
    for _ in range(10):
        _, out, _ = cli("timeline", *WINDOW, "--limit", "25", "--format", "json", *after)
        told += ids(out)
        if not (cursor := json.loads(out)["next"]):
            break
        after = ("--after", cursor)
    assert told == [f"e{number}" for number in range(60)]


def test_last_page_names_no_next(cli, trail):
    _, out, _ = cli("timeline", *WINDOW, "--limit", "60")
    assert "60 records" in out
    assert "--after" not in out


def test_records_are_chosen_by_kind_actor_and_table(cli, trail):
    chosen = ("--kind", "api_event", "--actor", "jane", "--table", "Patients")
    _, out, _ = cli("timeline", *WINDOW, *chosen, "--format", "json", "--limit", "3")
    assert ids(out) == ["e0", "e1", "e2"]
    for other in (("--kind", "alarm"), ("--actor", "john"), ("--table", "Visits")):
        assert ids(cli("timeline", *WINDOW, *other, "--format", "json")[1]) == []


def test_hostile_text_does_nothing_to_the_terminal(cli, trail, hostile, hour, rewrite):
    rewrite(detail=f"{hostile} read an item")
    for as_format in ("table", "json"):
        _, out, _ = cli("timeline", *WINDOW, "--limit", "2", "--format", as_format)
        assert "\x1b" not in out
        assert "[red]bold[/]" in re.sub(r"[\s│]+", "", out)


@pytest.fixture
def rewrite(trail, hour):
    """Give the records of the hour other values."""

    def rewrite(**columns):
        import pyarrow as pa

        def changed(present):
            rows = [row | columns for row in present.to_pylist()]
            return pa.Table.from_pylist(rows, present.schema)

        trail.replace("audit_record", changed, hours=[hour])

    return rewrite


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            ("--kind", "sign_in"),
            "--kind takes alarm, api_event, configuration, finding, item_change, privacy_event, throttling",
        ),
        (("--format", "xml"), "--format takes table, json"),
        (("--after", "2026-11-01"), "--after takes what the page before has printed"),
        (("--after", f"2026-13-01T00:00:00Z~{'0' * 64}"), "--after takes what the page before has printed"),
        (("--after", f"2026-11-01T00:00:00Z~{'x' * 64}\x1b[2J"), "--after takes"),
    ],
    ids=["kind", "format", "no-cursor", "no-instant", "hostile"],
)
def test_wrong_options_say_what_they_take(cli, trail, wrong, said):
    code, _, err = cli("timeline", *WINDOW, *wrong)
    assert code == 1
    assert said in err
    assert "\x1b" not in err
