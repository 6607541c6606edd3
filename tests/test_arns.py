import pytest

from dynatrail import arns


@pytest.mark.parametrize(
    ("region", "begins"),
    [("eu-west-1", "arn:aws:"), ("cn-north-1", "arn:aws-cn:"), ("us-gov-east-1", "arn:aws-us-gov:")],
)
def test_a_table_is_found_again_where_its_arn_was_made(region, begins):
    made = arns.table_arn("123456789012", region, "Patients")
    assert made.startswith(begins)
    assert arns.place_of(made) == ("123456789012", region, "Patients")


def test_a_trail_has_a_place_too():
    assert arns.place_of("arn:aws:cloudtrail:us-east-1:123456789012:trail/main").name == "main"


def test_what_is_no_arn_has_no_place():
    with pytest.raises(ValueError, match="unpack"):
        arns.place_of("Patients")
