import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynatrail.privacy import partiql
from dynatrail.privacy.tokens import Tokenizer

TOKENS = Tokenizer(bytes(range(32)))


def text_of(statement):
    return partiql.read(statement, TOKENS).text


def token(text):
    return f"'{TOKENS.value(text)}'"


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ("'pat-4711'", "pat-4711"),
        ("'O''Neil'", "O'Neil"),
        ("''", ""),
        ("4711", "4711"),
        ("-4711", "-4711"),
        ("47.11", "47.11"),
        (".4711", ".4711"),
        ("4.711e10", "4.711e10"),
        ("4711E-2", "4711E-2"),
        ("'a -- b /* c'", "a -- b /* c"),
        ("'WHERE x = 1'", "WHERE x = 1"),
    ],
)
def test_literal_becomes_the_token_of_its_value(literal, value):
    read = partiql.read(f"SELECT * FROM Patients WHERE patient_id = {literal}", TOKENS)
    assert read.text == f"SELECT * FROM Patients WHERE patient_id = {token(value)}"
    assert read.key == (("patient_id", value),)
    assert read.clear == {value: TOKENS.value(value)}


def test_what_cloudtrail_redacted_stays_redacted():
    statement = "UPDATE Music SET Album = ***(Redacted) WHERE Artist = 'No One' AND SongTitle = 'Today'"
    read = partiql.read(statement, TOKENS)
    assert read.text == statement.replace("'No One'", token("No One")).replace("'Today'", token("Today"))
    assert read.key == (("Artist", "No One"), ("SongTitle", "Today"))
    assert (read.operation, read.table, read.attribute_names) == ("Update", "Music", ("Album",))


def test_insert_keeps_its_attribute_names():
    read = partiql.read("INSERT INTO Music VALUE {'Artist' : ***(Redacted), 'Song''s' : ***(Redacted)}", TOKENS)
    assert read.text.startswith("INSERT INTO Music VALUE {'Artist' : ***(Redacted)")
    assert (read.operation, read.key, read.attribute_names) == ("Put", (), ("Artist", "Song's"))


def test_insert_with_values_in_clear_keeps_only_names():
    read = partiql.read(
        """INSERT INTO "Music" VALUE {'Artist': 'No: One', "n": 4711, 'b': "in wrong quotes"}""", TOKENS
    )
    assert read.text == (
        f"""INSERT INTO "Music" VALUE {{'Artist': {token("No: One")}, "n": {token("4711")}, """
        f"""'b': {token("in wrong quotes")}}}"""
    )
    assert read.attribute_names == ("Artist", "b", "n")


@pytest.mark.parametrize("named", ['"my-table"', "my-table-2024", '"arn:aws:dynamodb:eu-west-1:123456789012:table/T"'])
def test_table_keeps_its_name(named):
    read = partiql.read(f"DELETE FROM {named} WHERE id = 'x'", TOKENS)
    assert read.table == named.strip('"')
    assert read.text.startswith(f"DELETE FROM {named} WHERE")


def test_index_is_named_beside_the_table():
    read = partiql.read("""SELECT a FROM "T"."by-ward" WHERE "ward" = 'w'""", TOKENS)
    assert (read.table, read.index, read.key) == ("T", "by-ward", (("ward", "w"),))


def test_identifiers_in_conditions_stay():
    statement = (
        """SELECT "a" FROM "T" WHERE begins_with("name", ?) AND "x"."y" IS NOT NULL AND "n" IN (?) ORDER BY "s" DESC"""
    )
    assert text_of(statement) == statement


@pytest.mark.parametrize(
    "condition",
    [
        'patient_id = "jane@example.com"',
        "patient_id = jane@example.com",
        "patient_id IN ('x', \"jane@example.com\")",
        "patient_id BETWEEN 'a' AND \"jane@example.com\"",
        "patient_id = `jane@example.com`",
        "patient_id = 'jane@example.com",
        'patient_id = "jane@example.com',
        "patient_id = `jane@example.com",
        "patient_id = 'x' -- jane@example.com",
        "patient_id = 'x' /* jane@example.com */",
        "patient_id = 'x' /* jane@example.com",
        "begins_with(patient_id, 'jane@example.com')",
        "'jane@example.com' = patient_id",
        "patient_id = ['jane@example.com']",
    ],
)
def test_value_where_a_person_wrote_it_wrongly_is_masked_too(condition):
    read = partiql.read(f"SELECT * FROM Patients WHERE {condition}", TOKENS)
    assert "jane" not in read.text
    assert "jane" not in str((read.table, read.index, read.attribute_names))


@pytest.mark.parametrize("word", ["SET", "REMOVE"])
def test_words_inside_a_literal_name_no_attribute(word):
    assert partiql.read(f"DELETE FROM T WHER id = '{word} secret'", TOKENS).attribute_names == ()


def test_alternatives_bind_no_key():
    assert partiql.read("SELECT * FROM T WHERE id = 'a' OR id = 'b'", TOKENS).key == ()


def test_comparing_two_attributes_binds_no_key():
    assert partiql.read("SELECT * FROM T WHERE id = 'a' AND x = y", TOKENS).key == (("id", "a"),)


def test_text_that_is_no_statement_has_no_operation():
    read = partiql.read("DROP TABLE Patients; 'pat-4711'", TOKENS)
    assert (read.operation, read.table) == (None, None)
    assert "4711" not in read.text


values = st.text(min_size=4).filter(lambda text: not text.isspace())


@given(
    before=st.sampled_from(
        [
            "SELECT * FROM T WHERE a = ",
            "UPDATE T SET b = ***(Redacted) WHERE a = ",
            "INSERT INTO T VALUE {'a' : ",
            "DELETE FROM T WHERE c = 1 AND a = ",
            "EXISTS(SELECT * FROM T WHERE a = ",
            "nonsense ",
        ]
    ),
    value=values,
    after=st.sampled_from(["", " AND b = 'x'", "}", ")", " -- end"]),
)
def test_no_quoted_value_is_left_anywhere(before, value, after):
    read = partiql.read(f"{before}'{value.replace(chr(39), chr(39) * 2)}'{after}", TOKENS)
    assert read.clear[value] == TOKENS.value(value)
    rest = read.text.replace(TOKENS.value(value), "", 1)
    assert rest == f"{before}''{after}".replace("c = 1", f"c = {token('1')}").replace(
        "b = 'x'", f"b = {token('x')}"
    ).replace(" -- end", " -- ")


@given(statement=st.text(alphabet="\"'`-*/(){}[]=<>:.,? aWHERESELECTFROM19"))
def test_any_text_is_read(statement):
    assert isinstance(partiql.read(statement, TOKENS).text, str)
