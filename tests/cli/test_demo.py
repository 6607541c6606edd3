from datetime import UTC, datetime, timedelta

import pytest

from dynatrail.cli import demo
from dynatrail.sandbox import state
from dynatrail.sandbox.recorder import RecorderState
from dynatrail.sandbox.records import Ids

END = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.fixture
def played(home):
    """The folder of a sandbox that has played `tiny` over three days."""
    folder = home / "sandbox"
    folder.mkdir(parents=True)
    left = state.Played(
        scenario="tiny",
        window=(END - timedelta(days=3), END),
        trail_bucket="example-trail",
        trail_prefix="",
        organization_id="",
        accounts=("123456789012",),
        regions=("us-east-1",),
        trail_arns=("arn:aws:cloudtrail:us-east-1:123456789012:trail/example",),
        ground_truth=folder / "truth" / "tiny.jsonl",
        summary={},
    )
    state.save(folder, state.State(RecorderState(Ids("any")), played=left), ())
    return folder


def test_scenario_that_there_is_not_is_refused_before_anything_is_started(cli, home):
    code, out, err = cli("demo", "--scenario", "foo")
    assert (code, out) == (1, "")
    assert err == "error: There is no scenario 'foo'; play one of: clinic, tiny.\n"
    assert not home.exists()


def test_scenario_that_there_is_not_is_refused_where_one_was_played(cli, played):
    code, out, err = cli("demo", "--scenario", "foo")
    assert (code, out) == (1, "")
    assert "play one of: clinic, tiny" in err


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        pytest.param(("--scenario", "clinic"), "not clinic over 3 days", id="scenario"),
        pytest.param(("--days", "5"), "not tiny over 5 days", id="days"),
        pytest.param(("--scenario", "clinic", "--days", "14"), "not clinic over 14 days", id="both"),
    ],
)
def test_another_history_than_the_home_holds_is_refused_and_says_what_to_do(asked, said, cli, played):
    code, out, err = cli("demo", *asked)
    assert (code, out) == (1, "")
    assert f"has played tiny over 3 days, {said}." in err
    assert "make clean" in err
    assert "DYNATRAIL_HOME" in err


@pytest.mark.parametrize(("scenario", "days"), [(None, None), ("tiny", None), (None, 3), ("tiny", 3)])
def test_what_the_home_holds_is_gone_on_with(scenario, days, played):
    demo.check(played, scenario, days)


@pytest.mark.parametrize(("scenario", "days"), [(None, None), ("tiny", 5), ("clinic", None)])
def test_home_that_holds_nothing_takes_any_scenario_and_days(scenario, days, home):
    demo.check(home / "sandbox", scenario, days)
