"""Each digest by itself: signed by AWS, at its place, and whole; or what exactly is wrong with it."""

from tests.integrity.conftest import Build, statuses

from dynatrail.warehouse.schema import TRAIL_DIGEST


def test_all_digests_of_an_untouched_chain_are_valid(build: Build):
    verified = build(6).verify()
    assert statuses(verified) == ["valid"] * 6
    assert verified.rows["link"].to_pylist() == ["first"] + ["linked"] * 5
    assert verified.rows["reason"].to_pylist() == [None] * 6
    assert verified.rows.schema.equals(TRAIL_DIGEST.schema)
