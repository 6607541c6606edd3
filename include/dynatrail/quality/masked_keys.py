"""An expectation that Great Expectations' gallery has not: no item key in clear inside a JSON column."""

import re
from typing import Any

import msgspec
import numpy as np
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
_MASKED_KEY = r'"(?:key|exclusiveStartKey)":\{(?:"[^"\\]*":"t1:[0-9a-f]{32}",?)*\}'
_PLAIN = (
    r'^\{(?:[^"\\]|'  # outside of texts
    rf"{_MASKED_KEY}|"
    r'"[^"\\]*"[,\]}]|'
    r'"[^"\\]*":(?:"[^"\\]*"|[^"\\\[{])|'
    r'"(?:requestItems|items|item|expressionAttributeNames)":[\[{])*$'
)
"""A JSON object, read text by text, without any escape and without a member that may hold keys but masked ones."""
_decode = msgspec.json.Decoder().decode


class ColumnValuesMaskedKeys(ColumnMapMetricProvider):
    condition_metric_name = "column_values.masked_keys"

    @column_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column: "pd.Series[str]", **_: Any) -> "pd.Series[bool]":  # noqa: N805  made a class method
        # Most are told in Arrow, in one pass over each text; only what is left is worth a second one, or decoding.
        texts = pa.array(column, pa.string())
        masked = pc.match_substring_regex(texts, _PLAIN).to_numpy(zero_copy_only=False).copy()
        rest = np.flatnonzero(~masked)
        without = pc.replace_substring_regex(texts.take(pa.array(rest)), _MASKED_KEY, "")
        for row, doubt in zip(rest, pc.match_substring_regex(without, _HOLDS_KEYS).to_pylist(), strict=True):
            masked[row] = not doubt or _is_masked(texts[row].as_py())
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
