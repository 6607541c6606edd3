"""`reveal` on a terminal; what it shows to whom is in `tests/privacy/test_reveal.py`."""

import getpass

import pytest
from typer.testing import CliRunner

from dynatrail.cli import reveal
from dynatrail.cli.app import app
from dynatrail.privacy.reveal import Shown


@pytest.fixture
def printed(capsys):
    def show(*shown):
        reveal.show(shown)
        return capsys.readouterr().out

    return show


def test_value_cannot_steer_the_terminal_nor_write_a_row_of_its_own(printed):
    out = printed(Shown("new", "note\x1b[2J", "S", "a\x1b]0;owned\x07b\nnew  diagnosis  S  [red]none[/]"))
    assert "\x1b" not in out
    assert "\x07" not in out
    assert "\\nnew" in out.replace("\n", "")
    assert "[red]none[/]" in " ".join(out.split())


def test_what_cannot_be_read_says_why(printed):
    assert "Subject was erased." in printed(Shown("new", "a", "S", None, "Subject was erased."))


def test_who_asks_is_user_and_host_as_the_machine_calls_them():
    user, at, host = reveal.claimed().partition("@")
    assert (user, at, bool(host)) == (getpass.getuser(), "@", True)


@pytest.mark.parametrize("missing", ["--reason", "--ticket"])
def test_reason_and_ticket_are_asked_for(missing):
    given = {"--reason": "fraud", "--ticket": "INC-7"}
    del given[missing]
    done = CliRunner().invoke(app, ["reveal", "c-1", *(part for pair in given.items() for part in pair)])
    assert done.exit_code == 2
