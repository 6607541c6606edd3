"""Generated parts of the pages under `docs/`: `python -m dynatrail.docs` (or `make docs`) writes them anew.

A page is written by hand, but for what lies between `<!-- generated: NAME -->` and `<!-- end -->`: that comes from the
code named in `GENERATORS`. A test fails when a page and the code differ.
"""

import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import yaml
from pydantic import BaseModel

from dynatrail.errors import SettingsError
from dynatrail.settings import PROJECT, Settings

PAGES = PROJECT / "docs"
_BLOCK = re.compile(r"(<!-- generated: (?P<name>[\w-]+) -->\n)(?P<content>.*?)(<!-- end -->)", re.DOTALL)


def write(pages: Path = PAGES) -> list[Path]:
    """Bring every page's generated parts up to date; returns the pages that changed.

    Raises:
        SettingsError: a page names a part that nothing generates.
    """
    changed = []
    for page in sorted(pages.rglob("*.md")):
        before = page.read_text(encoding="utf-8")
        after = filled(before)
        if after != before:
            page.write_text(after, encoding="utf-8")
            changed.append(page)
    return changed


def filled(text: str) -> str:
    """A page's text with its generated parts as the code has them now."""

    def block(found: re.Match[str]) -> str:
        try:
            generate = GENERATORS[found["name"]]
        except KeyError:
            raise SettingsError(
                f"A page asks for the generated part {found['name']!r}; there are {', '.join(GENERATORS)}."
            ) from None
        return f"{found[1]}\n{generate().strip()}\n\n{found[4]}"

    return _BLOCK.sub(block, text)


def _settings() -> str:
    rows = []
    for name, field in Settings.model_fields.items():
        default = field.default.relative_to(PROJECT) if isinstance(field.default, Path) else field.default
        shown = "" if default in ("", ()) else f"`{default}`"
        rows.append((f"`DYNATRAIL_{name.upper()}`", _takes(field.annotation, field.metadata), shown, field.description))
    return _table(("variable", "takes", "default", "what it is"), rows)


def _takes(annotation: Any, metadata: list[Any]) -> str:
    if get_origin(annotation) is tuple:
        return "list"
    name = {str: "text", int: "number", Path: "folder"}[annotation]
    bounds = [f"{sign} {getattr(m, at)}" for m in metadata for at, sign in (("ge", "≥"), ("le", "≤")) if hasattr(m, at)]
    return f"{name} {', '.join(bounds)}".strip()


def _configuration() -> str:
    from dynatrail import config

    parts: dict[str, type[BaseModel]] = {
        "The file": config.Config,
        "trails": config.Trail,
        "accounts": config.Account,
        "log_filters of an account": config.LogFilter,
        "tables": config.TableNote,
        "exports": config.Exports,
    }
    return _models(parts)


def _masking() -> str:
    from dynatrail.privacy import policy

    return _models(
        {
            "A file": policy.PolicyFile,
            "tables": policy.TablePolicy,
            "subject of a table": policy.Subject,
            "attributes of a table": policy.AttributeRule,
            "do": policy.Doing,
        }
    )


def _models(parts: dict[str, type[BaseModel]]) -> str:
    """A section for each model, with a row a field."""
    pages = []
    for heading, model in parts.items():
        hints = get_type_hints(model, include_extras=True)
        rows = [
            (
                f"`{field.alias or name}`",
                _kind(hints[name], field.metadata),
                "**needed**" if field.is_required() else _default(field.default),
                field.description,
            )
            for name, field in model.model_fields.items()
        ]
        said = inspect.cleandoc(model.__doc__ or "")
        pages.append(f"## {heading}\n\n{said}\n\n" + _table(("field", "takes", "default", "what it is"), rows))
    return "\n\n".join(pages)


def _kind(annotation: Any, metadata: list[Any] = []) -> str:  # noqa: B006  never changed
    """What a field of the configuration file takes, in words."""
    from dynatrail import config

    named = {
        config.AccountId: "account id in quotes",
        config.RoleArn: "role's ARN",
        config.PrincipalPattern: "ARN with `*` and `?`",
        config.Region: "region",
        config.TablePattern: "table name with `*` and `?`",
        config.Bucket: "bucket's name, or `file:///folder`",
        config.Prefix: "key prefix",
        str: "text",
        bool: "`true`, `false`",
    }
    if annotation in (int, float, Decimal):
        bounds = (f"{sign} {getattr(m, at)}" for m in metadata for at, sign in _BOUNDS if hasattr(m, at))
        return f"number {', '.join(bounds)}".strip()
    if annotation in named:
        return named[annotation]
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is tuple:
        model = isinstance(inner[0], type) and inner[0] is not str
        return "list of mappings" if model else f"list: {_kind(inner[0])}"
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in inner)
    if origin is dict:
        return "mapping of text to text" if inner[1] is str else "mapping of mappings"
    return next((_kind(one, metadata) for one in inner if one is not NoneType), "mapping")


_BOUNDS = (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤"))


def _default(value: Any) -> str:
    if value in ("", (), None, {}) or isinstance(value, BaseModel):
        return ""
    return f"`{json.dumps(value)}`" if isinstance(value, tuple) else f"`{value}`"


def _warehouse() -> str:
    from dynatrail.warehouse.schema import TABLES

    parts = []
    for table in TABLES.values():
        slices = ", ".join(f"`{name}`" for name in ("event_hour", *table.slice_by))
        key, order = (", ".join(f"`{name}`" for name in names) for names in (table.natural_key, table.order_by))
        columns = [
            (
                f"`{field.name}`",
                _arrow(str(field.type)),
                "" if field.nullable else "always",
                field.metadata[b"comment"].decode(),
            )
            for field in table.schema
        ]
        parts.append(
            f"## {table.name}\n\nOne row is {table.grain}.\n\n"
            f"- Two rows differ in: {key}.\n- A write replaces all rows of: {slices}.\n- Rows lie in the order of: "
            f"{order}.\n\n" + _table(("column", "type", "filled", "what it is"), columns)
        )
    return "\n\n".join(parts)


def _arrow(kind: str) -> str:
    """An Arrow type as DuckDB's DESCRIBE shows it."""
    known = {
        "string": "VARCHAR",
        "int32": "INTEGER",
        "int64": "BIGINT",
        "bool": "BOOLEAN",
        "date32[day]": "DATE",
        "double": "DOUBLE",
    }
    known |= {"timestamp[us, tz=UTC]": "TIMESTAMPTZ", "list<item: string>": "VARCHAR[]"}
    return known[kind]


def _errors() -> str:
    from dynatrail import errors

    drawn = inspect.cleandoc(errors.__doc__ or "").partition("::\n")[2]
    tree = drawn.partition("\n\nEach message")[0]
    return "```text\n" + inspect.cleandoc(tree) + "\n```"


def _aws_errors() -> str:
    from dynatrail.sources import aws

    rows = []
    for code, advice in aws._ADVICE.items():  # noqa: SLF001  the page tells what that table says
        others = [alias for alias, known in aws._ALIASES.items() if known == code]  # noqa: SLF001
        rows.append((", ".join(f"`{name}`" for name in (code, *others)), advice))
    return _table(("AWS answers", "what to do"), rows)


def _expectations() -> str:
    from dynatrail.quality.gate import SUITES

    parts = []
    for severity, heading in _SEVERITIES.items():
        rows = []
        for path in sorted(SUITES.glob("*.yaml")):
            for expectation in yaml.safe_load(path.read_text(encoding="utf-8"))["expectations"]:
                meta = expectation["meta"]
                if meta["severity"] == severity:
                    column = expectation["kwargs"].get("column")
                    subject = f"`{path.stem}.{column}`" if column else f"`{path.stem}`"
                    rows.append((f"`{meta['reason_code']}`", subject, meta["reason"]))
        parts.append(f"### {heading}\n\n" + _table(("reason code", "looks at", "what is wrong"), rows))
    return "\n\n".join(parts)


_SEVERITIES = {
    "quarantine": "`quarantine`: the row is kept out, the rest goes on",
    "fail": "`fail`: nothing of the batch is written and the task is red",
    "warn": "`warn`: everything goes on and the log says so",
}


def _cli() -> str:
    import typer
    from typer.cli import get_docs_for_click

    from dynatrail.cli.app import app

    command = typer.main.get_command(app)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command), name="python -m dynatrail")
    # Its first heading and sentence are the page's own business; `console` blocks show usage, they are not to be run.
    return text.partition("**Usage**:")[1] + text.partition("**Usage**:")[2]


def _ocsf() -> str:
    from dynatrail.trail.ocsf import CLASS_NAMES, activities

    parts = []
    for class_uid, caption in CLASS_NAMES.items():
        named: dict[tuple[str, int, str], list[str]] = {}
        for row in activities():
            if row.class_uid == class_uid:
                name = f"{row.event_name}{'*' if row.is_prefix else ''}"
                shown = f"`{name}` ({row.operation})" if row.operation else f"`{name}`"
                named.setdefault((row.event_source, row.activity_id, row.activity), []).append(shown)
        rows = [
            (f"`{source}`", f"{uid} {activity}", ", ".join(names)) for (source, uid, activity), names in named.items()
        ]
        parts.append(f"### {class_uid} {caption}\n\n" + _table(("source", "activity", "calls"), rows))
    return "\n\n".join(parts)


def _metrics() -> str:
    from dynatrail.sources.cloudwatch import catalogue

    rows = []
    for entry in catalogue.load().metrics:
        of = [
            f"`{name}`" + ("" if isinstance(values, str) else f" ({', '.join(values)})")
            for name, values in entry.dimensions.items()
        ]
        when = "always, tells traffic" if entry.tells_traffic else entry.when
        rows.append((f"`{entry.metric}`", ", ".join(of) or "the account", ", ".join(entry.statistics), when, entry.why))
    return _table(("metric", "by", "statistics", "asked", "what for"), rows)


def _state() -> str:
    from dynatrail.state.models import Base

    parts = []
    for mapper in sorted(Base.registry.mappers, key=lambda mapper: mapper.class_.__tablename__):
        model = mapper.class_
        summary, _, rest = inspect.cleandoc(model.__doc__ or "").partition("\n\nAttributes:\n")
        said = dict(_attributes(rest))
        key = {column.name for column in model.__table__.primary_key}
        columns = [
            (
                f"`{column.name}`",
                "key" if column.name in key else "" if column.nullable else "always",
                said.get(column.name, ""),
            )
            for column in model.__table__.columns
        ]
        parts.append(
            f"### {model.__tablename__}\n\n{' '.join(summary.split())}\n\n"
            + _table(("column", "filled", "what it is"), columns)
        )
    return "\n\n".join(parts)


def _snapshots() -> str:
    """Every question that snapshots ask, in the order of their service."""
    from dynatrail.sources.configuration import aspects as configuration
    from dynatrail.sources.iam import aspects as iam
    from dynatrail.sources.snapshots.asking import DOCUMENTED, OTHERWISE, SHARE, Api
    from dynatrail.sources.snapshots.questions import Aspect, Listing

    found: dict[tuple[str, str], tuple[Api, str]] = {}

    def note(api: Api, of: str) -> None:
        found.setdefault((api.service, api.operation), (api, of))

    for module in (configuration, iam):
        for value in vars(module).values():
            for one in value if isinstance(value, tuple) else (value,):
                if isinstance(one, Aspect | Listing):
                    note(one.api, one.of)
                    if isinstance(one, Listing) and one.detail:
                        note(one.detail[0], one.of)
                elif isinstance(one, Api):
                    note(one, "")
    rows = []
    for (service, operation), (api, of) in sorted(found.items()):
        documented = DOCUMENTED.get(operation)
        asked = (documented or OTHERWISE.get(service, 10)) * SHARE
        rows.append((service, f"`{operation}`", f"`{api.action}`", of, documented or "", f"{asked:g}"))
    return _table(
        ("service", "API (aspect)", "IAM action", "resource", "AWS allows, a second", "asked, a second"), rows
    )


def _volatile() -> str:
    from dynatrail.sources.snapshots import volatile

    return _table(
        ("aspect", "fields left out", "why"),
        [
            (
                ", ".join(f"`{name}`" for name in sorted(rule.aspects)) + (f" (when {rule.when})" if rule.when else ""),
                ", ".join(f"`{name}`" for name in sorted(rule.fields)),
                rule.reason,
            )
            for rule in volatile.rules().left_out
        ],
    )


def _attributes(text: str) -> Iterator[tuple[str, str]]:
    """Name and description of each entry of a Google-style `Attributes:` section."""
    for entry in re.split(r"\n(?=    \w+: )", f"\n{text}"):
        name, _, description = entry.strip().partition(": ")
        yield name, " ".join(description.split())


def _table(heading: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    lines = [heading, ("---",) * len(heading), *rows]
    return "\n".join("| " + " | ".join(_cell(value) for value in row) + " |" for row in lines)


def _cell(value: object) -> str:
    return " ".join(str(value or "").split()).replace("|", "\\|")


GENERATORS: dict[str, Callable[[], str]] = {
    "settings": _settings,
    "configuration": _configuration,
    "masking": _masking,
    "warehouse": _warehouse,
    "errors": _errors,
    "aws-errors": _aws_errors,
    "expectations": _expectations,
    "cli": _cli,
    "ocsf": _ocsf,
    "state": _state,
    "snapshots": _snapshots,
    "volatile": _volatile,
    "metrics": _metrics,
}


if __name__ == "__main__":
    pages = write()
    sys.stdout.write("".join(f"wrote {page.relative_to(PROJECT)}\n" for page in pages) or "every page is up to date\n")
