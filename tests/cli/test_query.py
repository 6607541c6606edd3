import csv
import io

import pytest

AGENT = "SELECT user_agent FROM audit_record ORDER BY event_time LIMIT 1"


def test_rows_are_shown_as_a_table_with_their_count(cli, trail):
    code, out, _ = cli("query", "SELECT event_id, actor FROM audit_record ORDER BY event_time LIMIT 2")
    assert code == 0
    assert "event_id" in out
    assert "arn:aws:iam::123456789012:user/jane" in out
    assert out.rstrip().endswith("2 rows")


def test_long_answers_are_cut_and_say_so(cli, trail):
    _, out, _ = cli("query", "SELECT event_id FROM audit_record", "--limit", "3")
    assert "60 rows; 3 shown, --limit or --format csv give more" in out


def test_missing_values_are_told_apart_from_text(cli, trail):
    _, out, _ = cli("query", "SELECT NULL AS a, 'NULL' AS b, '' AS c")
    assert out.count("NULL") == 2


def test_csv_holds_all_rows_exactly(cli, trail):
    code, out, _ = cli("query", "SELECT event_id, user_agent FROM audit_record ORDER BY event_time", "--format", "csv")
    header, first, *rest = csv.reader(io.StringIO(out, newline=""))
    assert (code, header, len(rest)) == (0, ["event_id", "user_agent"], 59)
    assert first == ["e0", "[red]bold[/] \x1b]0;owned\x07\x1b[2J \u202ereversed a,b\"c'"]
    assert rest[0] == ["e1", ""]


def test_json_holds_one_object_a_line(cli, trail, lines):
    _, out, _ = cli(
        "query", f"SELECT event_time, [1, 2] AS l, ({AGENT}) AS a FROM audit_record LIMIT 1", "--format", "json"
    )
    (row,) = lines(out)
    assert row["event_time"] == "2026-11-01T03:00:00Z"
    assert row["l"] == [1, 2]
    assert row["a"].startswith("[red]bold[/] \x1b]0;owned")
    assert "\x1b" not in out


def test_one_row_is_counted_as_one(cli, trail):
    _, out, _ = cli("query", "SELECT 1 AS a")
    assert out.rstrip().endswith("1 row")


VALUES = {
    "instant": ("TIMESTAMPTZ '2026-11-01 03:00:00.5+00'", "2026-11-01T03:00:00.500000Z"),
    "date": ("DATE '2026-11-01'", "2026-11-01"),
    "list": ("['a', NULL, 'b\"c']", r'["a",null,"b\"c"]'),
    "list_of_instants": ("[TIMESTAMPTZ '2026-11-01 03:00:00+00']", '["2026-11-01T03:00:00Z"]'),
    "struct": ("{'n': 1, 't': TRUE}", '{"n":1,"t":true}'),
    "boolean": ("TRUE", "true"),
    "exact": ("9007199254740993.10::DECIMAL(20, 2)", "9007199254740993.10"),
    "float": ("0.1::DOUBLE", "0.1"),
}


@pytest.mark.parametrize(("sql", "shown"), VALUES.values(), ids=VALUES)
def test_values_are_written_as_in_json(sql, shown, cli, home):
    _, table, _ = cli("query", f"SELECT {sql} AS v")
    assert f" {shown} " in table
    _, out, _ = cli("query", f"SELECT {sql} AS v", "--format", "csv")
    assert list(csv.reader(io.StringIO(out, newline=""))) == [["v"], [shown]]


@pytest.mark.parametrize("columns", [2, 40])
def test_answer_without_rows_names_its_columns(columns, cli, home):
    names = [f"c{number}" for number in range(columns)]
    _, out, _ = cli("query", f"SELECT {', '.join(f'1 AS {name}' for name in names)} WHERE FALSE")
    assert set(names) <= set(out.split())
    assert out.rstrip().endswith("0 rows")


def test_hostile_text_does_nothing_to_a_terminal(cli, trail):
    _, out, _ = cli("query", AGENT)
    assert "[red]bold[/]" in out
    assert r"\x1b]0;owned\x07\x1b[2J" in out
    assert not {"\x1b", "\x07", "\u202e"} & set(out)


def test_columns_of_one_name_keep_their_values(cli, trail, lines):
    for form in ("table", "csv"):
        _, out, _ = cli("query", "SELECT 11 AS a, 22 AS a, 33 AS a_1", "--format", form)
        assert all(value in out for value in ("11", "22", "33", "a_2"))
    _, out, _ = cli("query", "SELECT 11 AS a, 22 AS a, 33 AS a_1", "--format", "json")
    assert lines(out) == [{"a": 11, "a_2": 22, "a_1": 33}]


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT * FROM audit_recrd", "there is no table audit_recrd; did you mean audit_record?"),
        ("SELECT actr FROM audit_record", "actor"),
        ("SELEC 1", "does not parse"),
        ("SELECT 1; SELECT 2", "exactly one statement"),
        ("DROP VIEW audit_record", "may only read"),
        ("SELECT * FROM read_csv('/etc/passwd')", "failed"),
        ("SELECT $start", "in place of the parameters"),
        ('SELECT "\x1b[2J" FROM audit_record', r"\x1b[2J"),
    ],
)
def test_wrong_query_is_told_in_one_sentence(sql, said, cli, trail):
    code, out, err = cli("query", sql)
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert said in err
    assert "Traceback" not in err
    assert "\x1b" not in err


def test_wrong_format_says_which_there_are(cli, trail):
    code, _, err = cli("query", "SELECT 1", "--format", "xml")
    assert (code, err) == (1, "error: --format takes table, csv, json, not 'xml'.\n")


def test_warehouse_that_is_empty_has_its_tables(cli, home):
    code, out, _ = cli("query", "SELECT count(*) AS n FROM api_event", "--format", "csv")
    assert (code, out.split()) == (0, ["n", "0"])


def test_more_columns_than_fit_stand_below_each_other(cli, trail):
    _, out, _ = cli("query", "SELECT * FROM audit_record ORDER BY event_time", "--limit", "2")
    lines = [line.split() for line in out.splitlines()]
    assert [line[:2] for line in lines if line[:1] == ["row"]] == [["row", "1"], ["row", "2"]]
    assert ["event_time", "2026-11-01T03:00:00Z"] in lines
    assert out.rstrip().endswith("60 rows; 2 shown, --limit or --format csv give more")
