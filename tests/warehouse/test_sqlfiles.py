"""Every file under `sql/`: its header, its one statement, and nothing that Spark would read in another way."""

import pytest
import sqlglot

from dynatrail.errors import WarehouseError
from dynatrail.warehouse import sqlfiles

FILES = sorted(str(path.relative_to(sqlfiles.SQL)) for path in sqlfiles.SQL.rglob("*.sql"))
GOOD = "-- What it is.\n--\n-- Grain: a thing.\n-- Parameters: $start: from then.\nselect a from t where b >= $start\n"


@pytest.fixture
def faults(tmp_path):
    def check(text):
        (tmp_path / "case.sql").write_text(text)
        return sqlfiles.faults(sqlfiles.load("case.sql", tmp_path))

    return check


def test_there_are_sql_files():
    assert FILES


@pytest.mark.parametrize("path", FILES)
def test_a_file_has_its_header_and_is_portable(path):
    assert sqlfiles.faults(sqlfiles.load(path)) == []


@pytest.mark.parametrize("path", FILES)
def test_a_file_translates_to_spark(path):
    translated = sqlglot.transpile(
        sqlfiles.load(path).text, read="duckdb", write="spark", unsupported_level=sqlglot.ErrorLevel.RAISE
    )
    assert len(translated) == 1


def test_a_good_file_has_no_faults(faults):
    assert faults(GOOD) == []


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ("-- What it is.", "-- What it is", "the header does not begin with a sentence"),
        ("-- Grain: a thing.\n", "", "the header has no `Grain:`"),
        ("-- Parameters: $start: from then.\n", "", "the header has no `Parameters:` (write `Parameters: none.` if"),
        ("$start: from", "$begin: from", "the header names parameters ['begin'], the statement binds ['start']"),
        ("$start: from then", "none", "the header names parameters [], the statement binds ['start']"),
    ],
)
def test_a_header_that_lacks_something_is_a_fault(faults, before, after, fault):
    assert GOOD.replace(before, after) != GOOD
    [found] = faults(GOOD.replace(before, after))
    assert found.startswith(fault)


@pytest.mark.parametrize(
    "expression",
    [
        "quantile_cont(a, 0.5)",
        "epoch_ms(a)",
        "date_diff('hour', a, b)",
        "datediff('hour', a, b)",
        "time_bucket(interval 1 hour, a)",
        "a at time zone 'UTC'",
        "dayofweek(a)",
        "extract(dow from a)",
        "list(a order by b)",
        "string_agg(a, ',' order by b)",
        "len(a)",
        "(select max(i) from generate_series(1, 3) as g(i))",
        "(select max(i) from range(3) as g(i))",
    ],
)
def test_what_spark_reads_in_another_way_is_a_fault(faults, expression):
    assert len(faults(GOOD.replace("select a", f"select {expression}"))) == 1


def test_asof_joins_are_a_fault(faults):
    assert len(faults(GOOD.replace("from t", "from t asof join u on t.a >= u.a"))) == 1


def test_text_and_comments_may_say_anything(faults):
    assert faults(GOOD.replace("select a", "select 'len(a) at time zone' as a, -- not len(b)\n")) == []


def test_a_template_does_not_parse(faults):
    with pytest.raises(WarehouseError, match=r"sql/case\.sql does not parse"):
        faults(GOOD.replace("from t", "from {{ t }}"))
