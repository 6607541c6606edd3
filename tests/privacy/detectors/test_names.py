import pytest

from dynatrail.privacy.detectors.names import HARMLESS, dictionary

NAMES = dictionary(
    [
        ("date_of_birth", ["date of birth", "geburtsdatum"]),
        ("iban", ["iban"]),
        ("national_id", ["national id"]),
        ("payment", ["card"]),
        ("payment_card", ["card number"]),
        ("phone", ["phone"]),
        ("person_name", ["patient name"]),
        (HARMLESS, ["id", "date"]),
    ]
)


@pytest.mark.parametrize(
    ("path", "spoken"),
    [
        (("date_of_birth",), {"date_of_birth"}),
        (("dateOfBirth",), {"date_of_birth"}),
        (("DATEOFBIRTH",), {"date_of_birth"}),
        (("Geburtsdatum",), {"date_of_birth"}),
        (("customerIBANs",), {"iban"}),
        (("iban_number",), {"iban"}),
        (("patient", "name"), {"person_name"}),
        (("contact", "phones"), {"phone"}),
        (("phone", "number"), {"phone"}),
        (("phone", "model"), set()),
        (("nationalId",), {"national_id"}),
        (("cardNumber",), {"payment_card"}),
        (("card_id",), {"payment", HARMLESS}),
        (("order_id",), {HARMLESS}),
        (("id_of_card",), {"payment"}),
        (("x",), set()),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else "",
)
def test_a_name_speaks_for(path, spoken):
    assert NAMES.speak_for(path) == spoken


def test_accents_and_scripts():
    names = dictionary([("national_id", ["número fiscal"]), ("phone", ["電話番号"])])
    assert names.speak_for(("NUMERO_FISCAL",)) == {"national_id"}
    assert names.speak_for(("電話番号",)) == {"phone"}
