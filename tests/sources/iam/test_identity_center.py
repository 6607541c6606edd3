import json

from dynatrail.privacy.tokens import Tokenizer
from dynatrail.sources.iam.identity_center import person

TOKENS = Tokenizer(bytes(range(32)))
USER = {
    "UserId": "a4b8c4d8-0001-70e1-0000-000000000001",
    "IdentityStoreId": "d-1234567890",
    "UserName": "jane@example.com",
    "DisplayName": "Jane Example",
    "Name": {"GivenName": "Jane", "FamilyName": "Example"},
    "Emails": [{"Value": "jane@example.com", "Primary": True}],
    "PhoneNumbers": [{"Value": "+49 30 901820"}],
    "Addresses": [{"StreetAddress": "Example Street 1"}],
    "Birthdate": "1980-01-01",
    "ExternalIds": [{"Issuer": "https://idp.example.com", "Id": "jane"}],
    "UserStatus": "ENABLED",
}


def test_ids_and_status_stay_in_clear():
    kept = person(USER, TOKENS)
    assert (kept["UserId"], kept["UserStatus"]) == (USER["UserId"], "ENABLED")


def test_names_and_addresses_are_tokens_that_a_known_name_finds():
    kept = person(USER, TOKENS)
    assert kept["UserName"] == kept["Emails"][0] == TOKENS.value("jane@example.com")


def test_nothing_personal_is_left_in_clear():
    text = json.dumps(person(USER, TOKENS))
    assert [word for word in ("jane", "Jane", "901820", "Street", "1980") if word in text] == []
