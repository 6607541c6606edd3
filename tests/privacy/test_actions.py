from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynatrail.privacy.actions import KEEP, REDACT, REDACTED, TOKEN, Mask, masked


def shown(mask, kind, text):
    return masked(mask, kind, text, lambda: "t1:0")


@pytest.mark.parametrize(
    ("mask", "kind", "text", "expected"),
    [
        (KEEP, "S", "open", "open"),
        (TOKEN, "S", "open", "t1:0"),
        (REDACT, "N", "42", REDACTED),
        (Mask("partial", keep_last=4), "S", "4111111111111111", "***1111"),
        (Mask("partial", keep_first=2, keep_last=1), "S", "DE123456", "DE***6"),
        (Mask("partial", keep_last=4), "N", "4111111111111111", "***1111"),
        (Mask("generalise", to="year"), "S", "1984-05-06", "1984"),
        (Mask("generalise", to="month"), "S", "1984-05-06T10:11:12Z", "1984-05"),
        (Mask("generalise", to="day"), "S", "1984-05-06 10:11", "1984-05-06"),
        (Mask("generalise", to="bucket", size=Decimal(10)), "N", "37.2", "30"),
        (Mask("generalise", to="bucket", size=Decimal(10)), "N", "-1", "-10"),
        (Mask("generalise", to="bucket", size=Decimal(10)), "N", "7", "0"),
        (Mask("generalise", to="bucket", size=Decimal("0.5")), "N", "1.74", "1.5"),
        (Mask("generalise", to="prefix"), "S", "192.0.2.77", "192.0.2.0/24"),
        (Mask("generalise", to="prefix", ipv6=32), "S", "2001:db8:1::5", "2001:db8::/32"),
    ],
)
def test_value_is_stored_as_its_action_says(mask, kind, text, expected):
    assert shown(mask, kind, text) == expected


@pytest.mark.parametrize(
    ("mask", "kind", "text"),
    [
        (Mask("partial", keep_last=4), "S", "1234567"),
        (Mask("partial", keep_last=4), "B", "AAAAAAAAAAAAAAAA"),
        (Mask("partial", keep_last=4), "BOOL", "true"),
        (Mask("generalise", to="year"), "S", "in May 1984"),
        (Mask("generalise", to="day"), "S", "1984-05"),
        (Mask("generalise", to="year"), "N", "19840506"),
        (Mask("generalise", to="bucket", size=Decimal(10)), "S", "37"),
        (Mask("generalise", to="bucket", size=Decimal("1e-60")), "N", "1E125"),
        (Mask("generalise", to="bucket", size=Decimal(10)), "N", "no number"),
        (Mask("generalise", to="prefix"), "S", "192.0.2.77:443"),
    ],
)
def test_value_that_an_action_does_not_fit_is_redacted(mask, kind, text):
    assert shown(mask, kind, text) == REDACTED


@given(st.text(max_size=40), st.integers(0, 8), st.integers(0, 8))
def test_partial_leaves_at_least_four_characters_unseen(text, first, last):
    told = shown(Mask("partial", keep_first=first, keep_last=last), "S", text)
    assert len(told) - len(REDACTED) <= max(0, len(text) - 4)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**20), max_value=10**20))
def test_bucket_holds_its_number(number):
    floor = Decimal(shown(Mask("generalise", to="bucket", size=Decimal("2.5")), "N", format(number, "f")))
    assert floor <= number < floor + Decimal("2.5")
