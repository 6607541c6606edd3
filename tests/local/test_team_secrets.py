import json
import stat

from dynatrail.local.team_secrets import make


def test_each_file_is_only_for_its_owner(tmp_path):
    made = make(tmp_path / "secrets")

    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o600}
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700


def test_a_second_time_makes_only_what_is_missing(tmp_path):
    made = make(tmp_path)
    before = {path: path.read_bytes() for path in made}
    (tmp_path / "jwt_secret").unlink()

    assert [path.name for path in make(tmp_path)] == ["jwt_secret"]
    assert all(path.read_bytes() == before[path] for path in made if path.name != "jwt_secret")


def test_no_two_makings_share_a_secret(tmp_path):
    one, other = make(tmp_path / "one"), make(tmp_path / "other")

    same = {a.name for a, b in zip(one, other, strict=True) if a.read_bytes() == b.read_bytes()}
    assert same == {"connections.json"}  # it holds no secret until a person puts one there


def test_the_connection_needs_no_key_on_aws(tmp_path):
    make(tmp_path)

    connection = json.loads((tmp_path / "connections.json").read_text())["aws_default"]
    assert "password" not in connection
