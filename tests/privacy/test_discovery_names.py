"""Names of attributes and of maps' members that are values: none comes out as part of a path."""

import json

import pytest

from dynatrail.privacy import discovery, policy


def items(name, count=1, *, inside=True):
    """Images whose map has a member of that name, or which have the attribute themselves."""
    one = {name: {"S": "v"}}
    return [json.dumps({"m": {"M": one}} if inside else one)] * count


HOSTILE = {
    "email": "zacharias@example.org",
    "phone": "+49 30 901820",
    "arabic digits": "٠٣٠٩٠١٨٢٠",
    "fullwidth digits": "\uff11\uff12\uff13\uff14\uff15",
    "spread digits": "1--2--3--4--5",
    "card": "4111 1111 1111 1111",
    "iban": "DE89370400440532013000",
    "date": "1943-07-19",
    "person": "Zacharias Quibbleton",
    "no-break space": "Zacharias\u00a0Quibbleton",
    "ipv4": "10.0.0.7",
    "ipv6": "fe80::1",
    "mac": "aa:bb:cc:dd:ee:ff",
    "aws key": "AKIAIOSFODNN7EXAMPLE",
    "stripe": "sk_live_abcdefghijklmnopqrstuvwx",
    "letters alone": "qWErTyUIopASdfGHjkLZxcvBNm",
    "hash": "deadbeefcafe",
    "control": "name\x1b[31m",
    "c1 control": "name\x9b31m",
    "right to left": "name\u202egro",
    "line": "name\u2028more",
    "jinja": "{{ ti.xcom_pull() }}",
    "markup": "<script>x</script>",
    "fence": "```",
    "empty": "",
}


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_a_members_name_that_may_be_a_value_is_a_star(name):
    assert set(discovery.flatten(items(name))) == {"m", "m.*"}


@pytest.mark.parametrize(
    "kind", [kind for kind in HOSTILE if kind not in ("person", "no-break space", "letters alone", "ipv6")]
)
def test_an_attributes_name_that_may_be_a_value_is_a_star(kind):
    assert set(discovery.flatten(items(HOSTILE[kind], inside=False))) == {"*"}


def test_a_name_that_a_single_item_of_many_has_is_a_value():
    many = [items("status")[0]] * 12
    assert set(discovery.flatten([*many, *items("quibbleton")])) == {"m", "m.*", "m.status"}
    assert "m.quibbleton" in discovery.flatten([*many, *items("quibbleton", 2)])


PLAIN = [
    "status",
    "dateOfBirth",
    "first_name",
    "line-2",
    "e_mail",
    "名前",
    "prénom",
    "address2",
    "KontoNr",
    "is.active",
]


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_name_stays_and_is_a_path_of_a_policy(name):
    (path,) = discovery.flatten(items(name))
    assert policy.steps(path) == ("m", name)


def test_columns_of_a_sheet_stay_names_of_attributes():
    assert list(discovery.flatten(items("First Name (born)", inside=False))) == ["First Name (born)"]


@pytest.mark.parametrize("name", [name for name in HOSTILE.values() if name])
def test_no_finding_tells_a_name_that_may_be_a_value(name):
    found = discovery.inspect(discovery.flatten([*items(name, 3), *items("a@example.com", 3)]))
    assert not any(name in repr(one) for one in found)
