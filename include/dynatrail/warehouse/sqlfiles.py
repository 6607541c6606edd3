"""The files under `sql/`: one statement each, below a header that says what it answers, its grain and its parameters.

::

    -- One sentence: what the rows are.
    --
    -- Grain: what one row is.
    -- Parameters: $start, $end: what they bound. (or: Parameters: none.)
    select …

`faults()` also refuses what would mean something else on Spark, where the same files run through sqlglot.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import duckdb

from dynatrail.errors import WarehouseError
from dynatrail.settings import PROJECT

SQL = PROJECT / "sql"

_HEADER_LINE = re.compile(r"--[ ]?(.*)")
_PARAMETER = re.compile(r"\$([a-z_][a-z0-9_]*)")

NOT_PORTABLE: dict[str, str] = {
    r"\basof\b": "ASOF JOIN: bucket by time instead",
    r"\bquantile\w*\s*\(": "quantile functions: rank with row_number",
    r"\b(?:epoch|epoch_ms|epoch_us|epoch_ns)\s*\(": "epoch functions: keep a BIGINT column",
    r"\b(?:date_?diff|date_?sub|time_bucket)\s*\(": "date_diff, date_sub, time_bucket: BIGINT arithmetic or date_trunc",
    r"\bat\s+time\s+zone\b": "AT TIME ZONE: all times are UTC",
    r"\b(?:dayofweek|isodow|weekday|dayname|weekofyear)\s*\(|\bextract\s*\(\s*(?:dow|isodow|week)\b": "days of week",
    r"\b(?:list|array_agg|string_agg|group_concat|listagg)\s*\([^()]*\border\s+by\b": "ordered aggregates",
    r"\blen\s*\(": "len(): use length() for text, cardinality() for lists",
    r"\b(?:generate_series|range)\s*\(": "generate_series and range: pass a relation of hours",
}
"""What sqlglot translates to Spark without a word but with another meaning (measured), and what to do instead."""


@dataclass(frozen=True, slots=True)
class SqlFile:
    """One file of `sql/`.

    Attributes:
        path: relative to `sql/`.
        text: the whole file.
        header: its leading comment, line by line.
        parameters: names that the statement binds, without `$`.
    """

    path: str
    text: str
    header: tuple[str, ...]
    parameters: frozenset[str]


def load(path: str | Path, root: Path | None = None) -> SqlFile:
    """Read one file of `root`, by default `sql/`.

    Raises:
        WarehouseError: it does not exist, does not parse, or holds no or several statements.
    """
    root = root or SQL
    file = root / path
    try:
        text = file.read_text()
    except FileNotFoundError:
        near = sorted(str(other.relative_to(root)) for other in file.parent.glob("*.sql"))
        raise WarehouseError(
            f"There is no sql/{path}" + (f"; beside it are {', '.join(near)}." if near else f" under {root}.")
        ) from None
    try:
        statements = duckdb.extract_statements(text)
    except duckdb.Error as error:
        raise WarehouseError(f"sql/{path} does not parse: {error}") from error
    if len(statements) != 1:
        raise WarehouseError(f"sql/{path} holds {len(statements)} statements; write one a file.")
    header = []
    for line in text.splitlines():
        if not (comment := _HEADER_LINE.fullmatch(line.rstrip())):
            break
        header.append(comment[1])
    return SqlFile(str(path), text, tuple(header), frozenset(statements[0].named_parameters))


def faults(file: SqlFile) -> list[str]:
    """What is wrong with the file's header, and which of its expressions would not mean the same on Spark."""
    found = []
    header = "\n".join(file.header)
    sentence = re.split(r"\n\s*\n|\n(?=Grain:)", header)[0].strip()
    if not sentence.endswith("."):
        found.append("the header does not begin with a sentence")
    if not re.search(r"^Grain: \S", header, re.MULTILINE):
        found.append("the header has no `Grain:`")
    if not (stated := re.search(r"^Parameters: (\S.*(?:\n.*)*)", header, re.MULTILINE)):
        found.append("the header has no `Parameters:` (write `Parameters: none.` if there are none)")
    elif (named := set(_PARAMETER.findall(stated[1]))) != file.parameters:
        found.append(f"the header names parameters {sorted(named)}, the statement binds {sorted(file.parameters)}")
    code = re.sub(r"--[^\n]*|/\*.*?\*/", " ", file.text, flags=re.DOTALL)
    code = re.sub(r"'(?:[^']|'')*'", "''", code)
    found += [remedy for pattern, remedy in NOT_PORTABLE.items() if re.search(pattern, code, re.IGNORECASE)]
    return found
