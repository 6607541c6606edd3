import pytest


def test_window_is_exported_as_one_object_a_line(cli, trail, lines):
    code, out, err = cli("export", "ocsf", "--from", "2026-11-01T03:00:10", "--to", "2026-11-01T03:00:20")
    events = lines(out)
    assert (code, len(events)) == (0, 10)
    assert {event["class_uid"] for event in events} == {6005}
    assert err == "10 OCSF events\n"


def test_file_is_written_whole(cli, trail, tmp_path, lines):
    target = tmp_path / "out.jsonl"
    code, out, err = cli("export", "ocsf", "--from", "2026-11-01", "--to", "2026-11-02", "--out", str(target))
    assert (code, out, err) == (0, "", f"60 OCSF events in {target}\n")
    assert len(lines(target.read_text())) == 60
    assert [path.name for path in tmp_path.glob("out*")] == ["out.jsonl"]


def test_same_window_gives_the_same_bytes(cli, trail):
    window = ("--from", "2026-11-01", "--to", "2026-11-02")
    assert cli("export", "ocsf", *window)[1] == cli("export", "ocsf", *window)[1]


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [("yesterday", "2026-11-02", "`from` is 'yesterday'"), ("2026-11-02", "2026-11-01", "The window is empty")],
)
def test_wrong_window_is_told_in_one_sentence(first, last, said, cli, trail):
    code, out, err = cli("export", "ocsf", "--from", first, "--to", last)
    assert (code, out) == (1, "")
    assert said in err


def test_folder_that_does_not_exist_is_told_in_one_sentence(cli, trail, tmp_path):
    target = tmp_path / "no" / "out.jsonl"
    code, _, err = cli("export", "ocsf", "--from", "2026-11-01", "--to", "2026-11-02", "--out", str(target))
    assert code == 1
    assert err.startswith("error: ")
    assert str(target.parent) in err
