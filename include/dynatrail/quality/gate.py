"""The quality gate: a Great Expectations suite over one batch, inside the task that would write it.

Suites are files in `include/expectations/`. Great Expectations runs on a pandas frame that shares the Arrow table's
memory, in an ephemeral context, offline. Its own results carry the values that it did not expect; those may be an
item's, so only counts and row positions are ever asked for, and only those are kept.
"""

import json
import logging
import os
import re
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import yaml

from dynatrail.errors import QualityError, SettingsError
from dynatrail.settings import PROJECT
from dynatrail.warehouse.schema import TABLES

if TYPE_CHECKING:
    import great_expectations

    from dynatrail.settings import Settings

SUITES = PROJECT / "include" / "expectations"
SEVERITIES = ("fail", "quarantine", "warn")

_NUMBER = "number"  # in an expectation's meta, which Great Expectations hands back with its result
_NAMED_ROWS = 3  # positions that a message spells out; the record has all
_COUNTS = ("element_count", "missing_count", "unexpected_count", "unexpected_percent", "unexpected_index_list")
_WHOLE = {
    "result_format": "COMPLETE",
    "exclude_unexpected_values": True,
    "include_unexpected_rows": False,
    "return_unexpected_index_query": False,
    "partial_unexpected_count": 0,
}
_BRIEF = {
    "result_format": "BASIC",
    "include_unexpected_rows": False,
    "return_unexpected_index_query": False,
    "partial_unexpected_count": 0,
}
_OF_VALUES = {
    "expect_column_values_to_be_in_set": {"column", "value_set"},
    "expect_column_values_to_match_regex": {"column", "regex"},
    "expect_column_values_to_not_be_null": {"column"},
}
"""Expectations that look at one value at a time -> the arguments with which they still do."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """One row that must not go on.

    Attributes:
        row: its position in the table that was checked, from 0.
        reason_code: of the first expectation in the suite that it does not meet.
        reason: that expectation's reason, for a person.
    """

    row: int
    reason_code: str
    reason: str


@dataclass(frozen=True, slots=True)
class GateResult:
    """What the gate lets through.

    Attributes:
        passed: the rows that go on, in their order.
        rejected: the rows for `quarantine`, by position.
        warnings: one sentence for each `warn` expectation that is not met.
    """

    passed: pa.Table
    rejected: tuple[Rejection, ...]
    warnings: tuple[str, ...]

    @property
    def success(self) -> bool:
        """Whether every expectation of the suite was met."""
        return not self.rejected and not self.warnings


def check(
    rows: pa.Table, suite: str, *, record: Path | None, parameters: Mapping[str, object] | None = None
) -> GateResult:
    """Hold `rows` against the suite `include/expectations/<suite>.yaml`.

    Args:
        rows: the batch, before anything of it is visible. When the warehouse has a table named like the suite, the
            columns must be that table's, in name, order and type.
        suite: name of the suite.
        record: file that gets the result as JSON, also when the gate raises; its folder is made. The same rows,
            suite and parameters give the same bytes. None keeps no result.
        parameters: values for the suite's `$PARAMETER`s. `api_event` takes `latest_event_time` (aware datetime: no
            event may be later) and `expected_rows` (at least so many).

    Raises:
        QualityError: a `fail` expectation is not met, or one could not be evaluated. Nothing may be written then.
        SettingsError: there is no such suite, or it cannot be used as it is written.
    """
    expectations = _read(suite)
    values = dict(parameters or {})
    if missing := sorted(set(_parameters(expectations)) - values.keys()):
        raise SettingsError(f"Suite {suite} needs the parameters {', '.join(missing)}, which its caller did not give.")
    if suite in TABLES:
        _check_schema(rows, TABLES[suite].schema, suite)

    results = _validate(rows, suite, expectations, values)
    if record is not None:
        _keep(record, suite, results, values)

    warnings: list[str] = []
    failures: list[str] = []
    rejected: dict[int, Rejection] = {}
    for result in results:
        meta = result["expectation_config"]["meta"]
        unexpected = result["result"].get("unexpected_index_list")
        if meta["severity"] == "quarantine" and unexpected is not None:
            for row in unexpected:
                rejected.setdefault(row, Rejection(row, meta["reason_code"], meta["reason"]))
        elif not result["success"]:
            (warnings if meta["severity"] == "warn" else failures).append(_sentence(result, rows))
    if failures:
        kept = f" The full result is in {record}." if record else ""
        raise QualityError(f"Nothing of this batch was written: {' '.join(failures)}{kept}")
    return GateResult(
        passed=_without(rows, rejected.keys()),
        rejected=tuple(rejected[row] for row in sorted(rejected)),
        warnings=tuple(warnings),
    )


def folder(settings: "Settings", dag_id: str, run_id: str) -> Path:
    """Where the results of one run are kept; a run id holds characters that a file's name may not."""
    return settings.home / "quality" / dag_id / re.sub(r"[^\w.+:-]", "_", run_id)


def load_suite(suite: str) -> "great_expectations.ExpectationSuite":
    """The suite as Great Expectations' own object.

    Raises:
        SettingsError: there is no such suite, or it cannot be used as it is written.
    """
    import great_expectations

    from dynatrail.quality import masked_keys  # noqa: F401  defining an expectation registers it

    expectations = [dict(e) for e in _read(suite)]
    try:
        made = great_expectations.ExpectationSuite(name=suite, expectations=expectations)
    except ValueError as error:
        raise SettingsError(f"Great Expectations cannot use {SUITES / suite}.yaml: {error}") from None
    # Great Expectations only logs an expectation that it cannot make sense of, and goes on without it.
    if len(made.expectations) != len(expectations):
        raise SettingsError(
            f"Great Expectations took {len(made.expectations)} of the {len(expectations)} expectations in "
            f"{SUITES / suite}.yaml; the log above names the one it refused and why."
        )
    return made


@cache
def _read(suite: str) -> tuple[dict[str, Any], ...]:
    path = SUITES / f"{suite}.yaml"
    try:
        document = yaml.safe_load(path.read_text())
        expectations = tuple(document["expectations"])
        for number, expectation in enumerate(expectations, 1):
            meta = expectation["meta"]
            if not (expectation["type"] and meta["reason_code"] and meta["reason"] and meta["severity"] in SEVERITIES):
                raise SettingsError(
                    f"Expectation {number} of {path} needs type, meta.reason_code, meta.reason, and a meta.severity of "
                    f"{', '.join(SEVERITIES)}."
                )
    except FileNotFoundError:
        known = ", ".join(sorted(p.stem for p in SUITES.glob("*.yaml")))
        raise SettingsError(f"There is no suite {path}. Suites here: {known}.") from None
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise SettingsError(
            f"{path} cannot be read ({type(error).__name__}: {error}). "
            "Compare it with include/expectations/api_event.yaml."
        ) from None
    return expectations


def _parameters(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if "$PARAMETER" in node:
            yield node["$PARAMETER"]
        node = tuple(node.values())
    if isinstance(node, (list, tuple)):
        for child in node:
            yield from _parameters(child)


def _check_schema(rows: pa.Table, schema: pa.Schema, suite: str) -> None:
    """Compared in Arrow, not by an expectation: pandas shows a string column with NULLs as something else."""
    # A dictionary-encoded column is the same column, kept smaller.
    have = {f.name: str(f.type.value_type if pa.types.is_dictionary(f.type) else f.type) for f in rows.schema}
    want = {field.name: str(field.type) for field in schema}
    wrong = [
        f"{name} is {have.get(name, 'missing')}, not {kind}" for name, kind in want.items() if have.get(name) != kind
    ]
    wrong += [f"{name} is not a column of it" for name in have.keys() - want.keys()]
    if list(have.items()) == list(want.items()):
        return
    raise QualityError(
        f"Nothing of this batch was written: it does not have the columns of {suite}: "
        f"{'; '.join(sorted(wrong)) or 'their order differs'}. Bring what makes the rows and "
        "warehouse/schema/ together before running again."
    )


def _frame(rows: pa.Table, expectations: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Only the columns that these expectations read, strings in Arrow's own memory."""
    return rows.select([name for name in rows.schema.names if name in _words(expectations)]).to_pandas()


def _words(expectations: Iterable[dict[str, Any]]) -> set[str]:
    return set(re.findall(r"\w+", json.dumps([e["kwargs"] for e in expectations])))


def _validate(
    rows: pa.Table, suite: str, expectations: Sequence[dict[str, Any]], values: Mapping[str, object]
) -> list[dict[str, Any]]:
    """One result an expectation, in the suite's order, reduced to what may be kept.

    Great Expectations decides all of them. An expectation on single values of a column that holds few (one that is
    dictionary-encoded and has no NULL) sees each value once; and only what is not met is looked at again for the rows.
    """
    validation = _Validation(suite, values)
    numbered = dict(enumerate(expectations))
    results: dict[int, dict[str, Any]] = {}
    if rows.num_rows:
        few = {number: e for number, e in numbered.items() if _of_few_values(e, rows)}
        told = validation.of(_each_value(rows, few.values()), few, _BRIEF)
        for result in told.values():
            result["result"]["element_count"] = rows.num_rows
        other = {number: e for number, e in numbered.items() if number not in few}
        told |= validation.of(_frame(rows, other.values()), other, _BRIEF)
        results = {number: result for number, result in told.items() if _is_met(result)}
    left = {number: e for number, e in numbered.items() if number not in results}
    results |= validation.of(_frame(rows, left.values()), left, _WHOLE)
    return [results[number] for number in numbered]


def _of_few_values(expectation: Mapping[str, Any], rows: pa.Table) -> bool:
    """Whether it is met by rows where it is met by each value of its column, of which there are few."""
    kwargs = expectation["kwargs"]
    if expectation["type"] not in _OF_VALUES or not kwargs.keys() <= _OF_VALUES[expectation["type"]]:
        return False
    column = rows[kwargs["column"]] if kwargs.get("column") in rows.schema.names else None
    return column is not None and pa.types.is_dictionary(column.type) and not column.null_count


def _each_value(rows: pa.Table, expectations: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Each value of the columns that they read, at least once: shorter columns repeat their last value."""
    names = sorted({e["kwargs"]["column"] for e in expectations})
    columns = [pc.unique(rows[name]).cast(rows.schema.field(name).type.value_type) for name in names]
    length = max(map(len, columns), default=0)
    indices = [pa.array(np.minimum(np.arange(length), len(column) - 1)) for column in columns]
    return pa.table([c.take(at) for c, at in zip(columns, indices, strict=True)], names=names).to_pandas()


def _is_met(result: dict[str, Any]) -> bool:
    """Whether there is nothing more to say: no row stands out, be it within what `mostly` allows."""
    seen = result["result"]
    if not result["success"] or result["exception_info"]["raised_exception"] or seen.get("unexpected_count"):
        return False
    if "unexpected_count" in seen:
        seen["unexpected_index_list"] = []
    return True


class _Validation:
    """Validates frames in one ephemeral context."""

    def __init__(self, suite: str, values: Mapping[str, object]) -> None:
        os.environ["GX_ANALYTICS_ENABLED"] = "false"
        logging.getLogger("great_expectations").setLevel(logging.WARNING)  # 214 INFO lines a task otherwise
        import great_expectations as gx
        from great_expectations.data_context.types.base import ProgressBarsConfig
        from great_expectations.execution_engine import pandas_execution_engine

        # It would fingerprint every frame below this many bytes, for a marker that nobody reads: a third of the time.
        pandas_execution_engine.HASH_THRESHOLD = 0
        load_suite(suite)  # tells what is wrong with it
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = ProgressBarsConfig(globally=False)
        asset = context.data_sources.add_pandas("dynatrail").add_dataframe_asset(suite)
        self._batch = asset.add_batch_definition_whole_dataframe("batch").get_batch
        self._suite = partial(gx.ExpectationSuite, name=suite)
        self._values = dict(values)

    def of(
        self, frame: pd.DataFrame, expectations: Mapping[int, dict[str, Any]], form: dict[str, Any]
    ) -> dict[int, dict[str, Any]]:
        """The results of these expectations, which Great Expectations gives in an order of its own."""
        if not expectations:
            return {}
        numbered = [e | {"meta": e["meta"] | {_NUMBER: number}} for number, e in expectations.items()]
        batch = self._batch({"dataframe": frame})
        results = batch.validate(
            self._suite(expectations=numbered), result_format=form, expectation_parameters=self._values
        )
        told = [_reduced(r) for r in results.to_json_dict()["results"]]  # type: ignore[no-untyped-call]
        return {result["expectation_config"]["meta"].pop(_NUMBER): result for result in told}


def _reduced(result: dict[str, Any]) -> dict[str, Any]:
    """Counts and positions; never a value of a row, nor an exception's text, which may quote one."""
    config, seen = result["expectation_config"], result["result"]
    kept = {name: seen[name] for name in _COUNTS if name in seen}
    observed = seen.get("observed_value")
    if isinstance(observed, (int, float)):
        kept["observed_value"] = observed
    return {
        "expectation_config": {
            "type": config["type"],
            "kwargs": {name: value for name, value in config["kwargs"].items() if name != "batch_id"},
            "meta": dict(config["meta"]),
            "severity": config["severity"],
        },
        "success": result["success"],
        "result": kept,
        "exception_info": {"raised_exception": _raised(result["exception_info"])},
        "meta": {},
    }


def _raised(info: dict[str, Any]) -> bool:
    """Great Expectations gives one exception flat, or several by metric."""
    if "raised_exception" in info:
        return bool(info["raised_exception"])
    return any(_raised(one) for one in info.values() if isinstance(one, dict))


def _sentence(result: dict[str, Any], rows: pa.Table) -> str:
    config, seen = result["expectation_config"], result["result"]
    subject = config["kwargs"].get("column", "the batch")
    if result["exception_info"]["raised_exception"]:
        return f"{config['type']} on {subject} could not be evaluated: is its column there? {config['meta']['reason']}"
    if "unexpected_count" in seen:
        saw = f"{seen['unexpected_count']} of {seen['element_count']} rows do not meet it"
        if positions := seen.get("unexpected_index_list"):
            saw += f", first {'; '.join(_place(rows, row) for row in positions[:_NAMED_ROWS])}"
    elif isinstance(seen.get("observed_value"), (int, float)):
        saw = f"saw {seen['observed_value']}"
    else:
        saw = "it is not met"
    return f"{config['type']} on {subject}: {saw}. {config['meta']['reason']}"


def _place(rows: pa.Table, row: int) -> str:
    if {"source_uri", "source_index"} <= set(rows.schema.names):
        return f"record {rows['source_index'][row]} of {rows['source_uri'][row]}"
    return f"row {row}"


def _without(rows: pa.Table, rejected: Collection[int]) -> pa.Table:
    if not rejected:
        return rows
    return rows.take(pa.array([row for row in range(rows.num_rows) if row not in rejected], pa.int64()))


def _keep(record: Path, suite: str, results: list[dict[str, Any]], values: Mapping[str, object]) -> None:
    """In the shape of Great Expectations' own suite result, so that quality/docs.py can read it back into one."""
    import great_expectations as gx

    met = sum(r["success"] for r in results)
    document = {
        "suite_name": suite,
        "success": met == len(results),
        "results": results,
        "suite_parameters": {name: str(value) for name, value in values.items()},
        "statistics": {
            "evaluated_expectations": len(results),
            "successful_expectations": met,
            "unsuccessful_expectations": len(results) - met,
            "success_percent": 100 * met / len(results) if results else None,
        },
        "meta": {"great_expectations_version": gx.__version__},
    }
    record.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=record.parent, prefix=f".{record.name}.", delete=False) as file:
        json.dump(document, file, sort_keys=True, indent=1, ensure_ascii=False)
        file.write("\n")
    Path(file.name).replace(record)
