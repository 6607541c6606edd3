"""A page with a wrong command must fail: what stands in for a program refuses what the program would refuse."""

import pytest


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        "python -m dynatrail query 'SELECT actors FROM audit_record'",
        "python -m dynatrail ui --prot 8080",
        "airflow backfill create --dag-id extract_cloudtrail --start-date 2026-11-01 --to-date 2026-11-02",
        "airflow dags trigger extract_cloudtrails",
        """airflow dags trigger extract_cloudtrail --conf '{"since": "2026-11-01"}'""",
        "aws cloudtrail start-logging --trail-name example-trail",
        "make tests",
        "docker compose exec worker airflow version",
        "docker compose exec scheduler python -m dynatrail querry",
        "no-such-program",
    ],
)
def test_wrong_command_stops_the_page(command, reader):
    with pytest.raises(AssertionError, match="the page stops at"):
        reader(["true\n", f"{command}\n"])


@pytest.mark.slow
def test_what_each_block_prints_is_told_apart(reader):
    assert reader(["echo one\n", "true\n", "echo two\n"]) == ["one\n", "", "two\n"]
