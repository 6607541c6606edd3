import pytest

WINDOWS = [
    (("--from", "yesterday", "--to", "2026-11-02"), "`from` is 'yesterday'"),
    (("--from", "2026-11-02", "--to", "2026-11-02"), "The window is empty"),
    (("--from", "2020-01-01", "--to", "2026-11-02"), "longer than 400 days"),
]


@pytest.mark.parametrize(("window", "said"), WINDOWS)
def test_run_refuses_a_wrong_window_before_it_starts_anything(window, said, cli, home):
    code, out, err = cli("run", *window)
    assert (code, out) == (1, "")
    assert said in err
    assert not home.exists()


@pytest.mark.parametrize("missing", ["--from", "--to"])
def test_run_needs_both_ends(missing, cli, home):
    given = {"--from": "2026-11-01", "--to": "2026-11-02"}
    del given[missing]
    code, _, err = cli("run", *(part for pair in given.items() for part in pair))
    assert code == 2
    assert missing in err


@pytest.mark.parametrize("port", ["0", "65536", "99999"])
def test_ui_refuses_a_port_that_cannot_be_before_it_starts_anything(port, cli, home):
    code, _, err = cli("ui", "--port", port)
    assert code == 2
    assert "--port" in err
    assert not home.exists()


def test_without_a_command_it_helps(cli):
    _, out, err = cli()
    assert all(command in out + err for command in ("run", "query", "export", "doctor", "demo", "ui"))


@pytest.mark.slow
def test_command_of_a_process_ends_with_its_code_and_no_traceback(process, home):
    done = process("query", "SELECT * FROM nowhere", DYNATRAIL_HOME=str(home))
    assert done.returncode == 1
    assert done.stderr.startswith("error: The query failed: there is no table nowhere")


@pytest.fixture
def home_with_metadata(home, with_metadata):
    return with_metadata(home)


@pytest.mark.slow
def test_run_tells_which_dag_failed_and_why(process, home_with_metadata):
    done = process(
        "run",
        "--from",
        "2026-11-01",
        "--to",
        "2026-11-02",
        DYNATRAIL_HOME=str(home_with_metadata),
        DYNATRAIL_TRAIL_BUCKET="file:///nowhere",
    )
    assert done.returncode == 1
    assert "extract_cloudtrail ended as failed. There is no folder /nowhere." in done.stderr
    assert "Traceback" not in done.stderr
    assert "✓ build_trail" in done.stdout  # of what has landed, whichever source failed


@pytest.mark.slow
def test_run_over_a_copy_of_a_bucket_ends_with_a_summary(process, home_with_metadata, tmp_path):
    logs = tmp_path / "bucket/AWSLogs/123456789012/CloudTrail/eu-central-1/2026/11/01"
    logs.mkdir(parents=True)
    name = "123456789012_CloudTrail_eu-central-1_20261101T0305Z_AbCdEf0123456789.json.gz"
    (logs / name).write_bytes(b"not gzip")
    env = {"DYNATRAIL_HOME": str(home_with_metadata), "DYNATRAIL_TRAIL_BUCKET": (tmp_path / "bucket").as_uri()}
    done = process("run", "--from", "2026-11-01", "--to", "2026-11-02", "--no-evidence", **env)
    assert done.returncode == 0, done.stderr
    assert "not_gzip" in done.stdout
    assert "What to try next" in done.stdout
