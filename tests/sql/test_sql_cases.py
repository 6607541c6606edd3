from pathlib import Path

import pytest

from dynatrail.warehouse.sqlfiles import SQL

HERE = Path(__file__).parent
CASES = sorted(path.parent for path in HERE.rglob("expect.yaml"))
STATEMENTS = sorted(path.relative_to(SQL).with_suffix("") for path in SQL.rglob("*.sql"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.relative_to(HERE)))
def test_statement_gives_the_rows_that_its_case_expects(case, run_case):
    expected, actual = run_case(case)
    assert expected == actual


@pytest.mark.parametrize("statement", STATEMENTS, ids=str)
def test_every_statement_has_cases(statement):
    assert any(case.parent == HERE / statement for case in CASES)


def test_every_case_belongs_to_a_statement():
    assert {case.parent.relative_to(HERE) for case in CASES} <= set(STATEMENTS)


def test_every_case_folder_is_complete():
    folders = {path.parent for path in HERE.rglob("input")}
    assert folders == set(CASES)
