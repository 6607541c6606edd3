import pyarrow as pa

from dynatrail.warehouse.apart import Apart


def rows(*places):
    groups, texts = zip(*places, strict=True)
    return pa.table({"uri": pa.array(groups, pa.string()), "position": pa.array(texts, pa.string())})


def test_rows_meet_a_row_between_them_and_no_other():
    apart = Apart.of(rows(("a", "2"), ("a", "4")), ["position"])
    assert apart.meets(rows(("b", "3")))
    assert not apart.meets(rows(("a", "1"), ("a", "5")))
    assert apart.predicate == "position >= '2' AND position <= '4'"


def test_a_range_counts_only_for_its_own_group():
    apart = Apart.of(rows(("a", "2"), ("a", "4"), ("it's", "7")), ["uri", "position"])
    assert apart.meets(rows(("a", "3")))
    assert not apart.meets(rows(("it's", "3"), ("b", "3"), ("a", "7")))
    assert apart.predicate == (
        "((uri = 'a' AND position >= '2' AND position <= '4') "
        "OR (uri = 'it''s' AND position >= '7' AND position <= '7'))"
    )


def test_too_many_groups_are_not_told_apart():
    assert Apart.of(rows(*((f"{n}", "1") for n in range(201))), ["uri", "position"]) is None
