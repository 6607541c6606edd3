"""How CloudTrail writes PartiQL statements; the first cases are the samples of AWS's documentation."""

import pytest

from dynatrail.sandbox.partiql import redact, table_of

KEYS = {"Music": ("Artist", "SongTitle"), "Invoices": ("number",)}


def shown(statement: str) -> str:
    return redact(statement, lambda table: KEYS.get(table, ()))


@pytest.mark.parametrize(
    ("sent", "recorded"),
    [
        (
            "SELECT * FROM Music WHERE Artist = 'No One You Know' AND SongTitle = 'Call Me Today' AND nonKeyAttr = 'x'",
            (
                "SELECT * FROM Music WHERE Artist = 'No One You Know' AND SongTitle = 'Call Me Today' "
                "AND nonKeyAttr = ***(Redacted)"
            ),
        ),
        (
            "UPDATE Music SET Album = 'Famous' WHERE Artist = 'No One You Know' AND SongTitle = 'Call Me Today'",
            "UPDATE Music SET Album = ***(Redacted) WHERE Artist = 'No One You Know' AND SongTitle = 'Call Me Today'",
        ),
        (
            "INSERT INTO Music VALUE {'Artist' : 'Acme Band', 'SongTitle' : 'PartiQL Rocks', 'Album' : 'Another'}",
            "INSERT INTO Music VALUE {'Artist' : ***(Redacted), 'SongTitle' : ***(Redacted), 'Album' : ***(Redacted)}",
        ),
    ],
)
def test_the_documented_samples_come_out_as_documented(sent: str, recorded: str):
    assert shown(sent) == recorded


def test_a_numeric_key_stays_and_another_number_goes():
    assert shown("SELECT a FROM Invoices WHERE number = 7 AND amount > 12.5") == (
        "SELECT a FROM Invoices WHERE number = 7 AND amount > ***(Redacted)"
    )


def test_doubled_quotes_belong_to_the_literal():
    assert shown("DELETE FROM Music WHERE Artist = 'O''Brien' AND x = 'it''s'") == (
        "DELETE FROM Music WHERE Artist = 'O''Brien' AND x = ***(Redacted)"
    )


def test_both_ends_of_a_key_range_stay():
    text = "SELECT * FROM Invoices WHERE number BETWEEN 1 AND 9"
    assert shown(text) == text


def test_key_values_in_a_list_stay():
    text = "SELECT * FROM Music WHERE Artist IN ['a', 'b']"
    assert shown(text) == text


def test_quoted_names_are_names():
    text = 'SELECT * FROM "Music" WHERE "Artist" = \'a\''
    assert shown(text) == text


def test_parameters_stay_question_marks():
    text = "UPDATE Invoices SET paid = ? WHERE number = ?"
    assert shown(text) == text


def test_constants_are_literals_unless_they_are_tested_for():
    assert shown("UPDATE Invoices SET paid = true WHERE number = 1 AND note IS NOT NULL") == (
        "UPDATE Invoices SET paid = ***(Redacted) WHERE number = 1 AND note IS NOT NULL"
    )


def test_keys_of_an_unknown_table_are_redacted_too():
    assert shown("SELECT * FROM Other WHERE id = 'x'") == "SELECT * FROM Other WHERE id = ***(Redacted)"


@pytest.mark.parametrize(
    ("statement", "table"),
    [
        ('SELECT * FROM "Music"."ByAlbum" WHERE a = 1', "Music"),
        ("insert into Music value {'a': 1}", "Music"),
        ("UPDATE Music SET a = 1", "Music"),
        ("DELETE FROM Music WHERE a = 1", "Music"),
        ("EXISTS(SELECT * FROM Music WHERE a = 1)", "Music"),
        ("nonsense", None),
    ],
)
def test_a_statement_names_its_table(statement: str, table: str | None):
    assert table_of(statement) == table
