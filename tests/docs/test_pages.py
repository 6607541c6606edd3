"""What the pages name exists, and what exists is named."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dynatrail import docs, errors
from dynatrail.settings import PROJECT, Settings

DOCS = PROJECT / "docs"
SOURCES = PROJECT / "include" / "dynatrail" / "sources"
_LINK = re.compile(r"\]\((?!https?://|mailto:)([^)\s#]*)(?:#([\w-]+))?\)")
_CODE_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_NAMED_FILE = re.compile(r"`((?:include|sql|tests|dags|docs|benchmarks|plugins)/[\w./-]+)`")
_ENVIRONMENT_OF_COMPOSE = set(re.findall(r"\$\{(DYNATRAIL_\w+)", (PROJECT / "docker-compose.yaml").read_text()))


def prose(page: Path) -> str:
    return _CODE_FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_generated_parts_are_as_the_code_has_them(page):
    text = page.read_text(encoding="utf-8")
    assert docs.filled(text) == text, "run `make docs`"


@pytest.mark.parametrize("part", docs.GENERATORS)
def test_every_generated_part_is_on_a_page(part):
    assert any(f"<!-- generated: {part} -->" in path.read_text(encoding="utf-8") for path in DOCS.rglob("*.md"))


def test_links_lead_somewhere(page):
    for path, anchor in _LINK.findall(prose(page)):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), path
        assert not anchor or anchor in anchors(target), f"{path}#{anchor}"


def test_every_page_is_reached_from_the_index():
    index = DOCS / "index.md"
    linked = {(DOCS / path).resolve() for path, _ in _LINK.findall(prose(index))}
    assert {path for path in DOCS.rglob("*.md") if path != index} <= linked


def test_environment_variables_exist(page):
    known = {f"DYNATRAIL_{name.upper()}" for name in Settings.model_fields} | _ENVIRONMENT_OF_COMPOSE
    assert set(re.findall(r"DYNATRAIL_[A-Z_]*[A-Z]", page.read_text(encoding="utf-8"))) <= known


def test_every_variable_of_compose_is_in_the_page_of_settings():
    said = (DOCS / "reference" / "settings.md").read_text(encoding="utf-8")
    assert [name for name in sorted(_ENVIRONMENT_OF_COMPOSE) if f"`{name}`" not in said] == []


def test_make_targets_exist(page):
    targets = set(re.findall(r"^([a-z][\w-]*):", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z][\w-]*)", page.read_text(encoding="utf-8"))) <= targets


def test_files_that_are_named_exist(page):
    named = _NAMED_FILE.findall(prose(page))
    assert [path for path in named if not (PROJECT / path).exists()] == []


def test_commands_that_are_named_exist(page):
    import typer

    from dynatrail.cli.app import app

    known = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    assert set(re.findall(r"python -m dynatrail ([a-z][a-z-]*)", page.read_text(encoding="utf-8"))) <= known


def test_json_of_connections_parses(page):
    for text in re.findall(r"AIRFLOW_CONN_\w+='(.*?)'", page.read_text(encoding="utf-8"), re.DOTALL):
        assert json.loads(text)["conn_type"] == "aws"


def test_readme_prints_the_policy_in_full():
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    printed = re.search(r"^<!-- iam-policy -->\n```json\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    assert printed
    assert printed[1] == (DOCS / "reference" / "iam-policy.json").read_text(encoding="utf-8")


def test_every_dag_is_in_the_page_of_operation():
    said = (DOCS / "cookbooks" / "operate.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `(\w+)` \|", said, re.MULTILINE))
    assert {path.stem for path in (PROJECT / "dags").glob("*.py")} == listed


def test_times_in_the_page_of_operation_are_those_of_the_dags():
    said = (DOCS / "cookbooks" / "operate.md").read_text(encoding="utf-8")
    of = "the day before|the seven days before|that moment"
    listed = dict(re.findall(rf"^\| `(\w+)` \| (\d\d:\d\d), for (?:{of}) \|", said, re.MULTILINE))
    crons = {
        path.stem: re.search(r'CronDataIntervalTimetable\("(\d+) (\d+) \* \* \*"', path.read_text(encoding="utf-8"))
        for path in (PROJECT / "dags").glob("*.py")
    }
    assert {dag: f"{int(cron[2]):02}:{int(cron[1]):02}" for dag, cron in crons.items() if cron} == listed


def test_error_tree_draws_every_error():
    drawn = re.findall(r"^\W*(\w+)", docs.GENERATORS["errors"]().strip("`").removeprefix("text\n"), re.MULTILINE)
    defined = [
        name for name, value in vars(errors).items() if isinstance(value, type) and value.__module__ == errors.__name__
    ]
    assert sorted(defined) == sorted(name for name in drawn if name)


def codes_of(*callables: str) -> set[str]:
    """First arguments of these calls anywhere in the sources, also where a variable holds one of two constants."""
    found = set()
    for path in SOURCES.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assigned: dict[str, list[ast.expr]] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                assigned.setdefault(node.targets[0].id, []).append(node.value)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in callables:
                first = node.args[0]
                values = assigned[first.id] if isinstance(first, ast.Name) else [first]
                found |= {c.value for value in values for c in ast.walk(value) if isinstance(c, ast.Constant)}
    return {code for code in found if re.fullmatch(r"[a-z_]+", str(code))}


def section(heading: str) -> str:
    text = (DOCS / "reference" / "quarantine.md").read_text(encoding="utf-8")
    return text.partition(f"## {heading}\n")[2].partition("\n## ")[0]


def test_reasons_to_reject_an_object_are_those_of_the_code():
    listed = set(re.findall(r"^\| `(\w+)` \|", section("Whole objects"), re.MULTILINE))
    assert listed | {"missing"} == codes_of("ObjectError")


def test_reasons_to_reject_a_record_are_those_of_the_code():
    listed = set(re.findall(r"^\| `(\w+)` \|", section("Single records"), re.MULTILINE))
    assert listed == codes_of("_UnfitError")


def test_reasons_to_reject_a_change_record_are_those_of_the_code():
    listed = set(re.findall(r"^\| `(\w+)` \|", section("Change records"), re.MULTILINE))
    assert listed == codes_of("RecordError")


def test_reasons_to_reject_a_line_of_an_export_are_those_of_the_code():
    listed = set(re.findall(r"^\| `(\w+)` \|", section("Lines of exports"), re.MULTILINE))
    assert listed == codes_of("_LineError")


def test_backfills_plan_as_many_runs_as_the_page_says():
    text = (DOCS / "cookbooks" / "backfill.md").read_text(encoding="utf-8")
    command = r"^# (\d+) runs: .*\nairflow backfill create --dag-id (\w+) --from-date (\S+) --to-date (\S+)"
    said = re.findall(command, text, re.MULTILINE)
    assert len(said) == text.count("airflow backfill create")
    asked = []
    for _, dag, first, last in said:
        cron = re.search(r'CronDataIntervalTimetable\("([^"]+)"', (PROJECT / "dags" / f"{dag}.py").read_text())
        assert cron
        asked.append((cron[1], first, last))
    planned = subprocess.run(
        [sys.executable, Path(__file__).with_name("planned_runs.py"), json.dumps(asked)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(planned.stdout) == [int(number) for number, *_ in said]
