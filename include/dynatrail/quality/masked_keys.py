"""An expectation that Great Expectations' gallery has not: no item key in clear inside a JSON column."""

import re
from typing import Any

import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from great_expectations.execution_engine.pandas_execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import ColumnMapExpectation
from great_expectations.expectations.metrics.map_metric_provider.column_condition_partial import (
    column_condition_partial,
)
from great_expectations.expectations.metrics.map_metric_provider.column_map_metric_provider import (
    ColumnMapMetricProvider,
)

KEY_MEMBERS = frozenset(("key", "keys", "exclusivestartkey"))
"""Members of a request that hold item keys, in lower case: CloudTrail mixes `key` and `Key` in one record."""

_MASKED = re.compile(r"t1:[0-9a-f]{32}|\*\*\*(\(Redacted\))?|HIDDEN_DUE_TO_SECURITY_REASONS")
_HOLDS_KEYS = r'(?i)"(?:' + "|".join(sorted(KEY_MEMBERS)) + r')"\s*:\s*[\[{]|^[^{\[]|\\u'
"""Text that may hold keys: such a member, no JSON object, or an escape that could spell one."""
_PLAINLY_MASKED = r'"(?:key|exclusiveStartKey)":\{(?:"[^"\\]*":"t1:[0-9a-f]{32}",?)*\}'
_decode = msgspec.json.Decoder().decode


class ColumnValuesMaskedKeys(ColumnMapMetricProvider):
    condition_metric_name = "column_values.masked_keys"

    @column_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column: "pd.Series[str]", **_: Any) -> "pd.Series[bool]":  # noqa: N805  made a class method
        # What is plainly masked is told in Arrow; only the rest is worth decoding.
        rest = pc.replace_substring_regex(pa.array(column, pa.string()), _PLAINLY_MASKED, "")
        doubtful = pc.match_substring_regex(rest, _HOLDS_KEYS).to_numpy(zero_copy_only=False)
        masked = [not doubt or _is_masked(text) for doubt, text in zip(doubtful, column, strict=True)]
        return pd.Series(masked, index=column.index, dtype=bool)


class ExpectColumnValuesToHaveMaskedKeys(ColumnMapExpectation):
    """Expect every value below a `key`, `keys` or `exclusiveStartKey` object of a JSON text to be a token.

    A plain value under these names is left alone: a tag's `key` is a name. Text that is no JSON does not meet it.
    """

    map_metric = "column_values.masked_keys"


def _is_masked(text: str) -> bool:
    try:
        return _clean(_decode(text))
    except msgspec.DecodeError:
        return False


def _clean(value: object) -> bool:
    if isinstance(value, list):
        return all(map(_clean, value))
    if not isinstance(value, dict):
        return True
    return all(
        _tokens_only(inner) if name.lower() in KEY_MEMBERS and isinstance(inner, (dict, list)) else _clean(inner)
        for name, inner in value.items()
    )


def _tokens_only(value: object) -> bool:
    if isinstance(value, str):
        return _MASKED.fullmatch(value) is not None
    if isinstance(value, dict):
        return all(map(_tokens_only, value.values()))
    if isinstance(value, list):
        return all(map(_tokens_only, value))
    return value is None or isinstance(value, bool)
