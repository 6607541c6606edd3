"""Which metrics to ask for: the entries of `include/metrics/dynamodb.yaml`, and the series they name of a table."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dynatrail.errors import SettingsError
from dynatrail.settings import PROJECT
from dynatrail.sources.tables import WatchedTable

FILE = PROJECT / "include" / "metrics" / "dynamodb.yaml"
VARIABLES = (
    "$table",
    "$index",
    "$vector_index",
    "$stream_label",
    "$replica_region",
    "$write_source",
    "$delegated_operation",
)
_encode = msgspec.json.Encoder(order="sorted").encode


class MetricEntry(BaseModel):
    """One entry of the file, which explains the fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    metric: str = Field(min_length=1)
    dimensions: dict[str, str | list[str]]
    statistics: list[Annotated[str, Field(pattern=r"^(SampleCount|Sum|Average|Minimum|Maximum|p\d{1,2}(\.\d+)?)$")]]
    period_s: Literal[60, 300] = 60
    unit: str | None = None
    when: Literal["always", "traffic"]
    tells_traffic: bool = False
    why: str = Field(min_length=1)

    @model_validator(mode="after")
    def _can_be_asked(self) -> "MetricEntry":
        unknown = [v for v in self.dimensions.values() if isinstance(v, str) and v not in VARIABLES]
        if unknown:
            raise ValueError(f"{', '.join(unknown)} is no variable; there are {', '.join(VARIABLES)}")
        if self.tells_traffic and (self.when != "always" or self.statistics[:1] != ["Sum"] or not self.dimensions):
            raise ValueError("what tells traffic is asked always, of a table, with Sum as the first statistic")
        return self


class Catalogue(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    namespace: str
    metrics: tuple[MetricEntry, ...]


@dataclass(frozen=True, slots=True)
class Series:
    """One metric of one set of dimensions.

    Attributes:
        dimensions: (name, value) sorted by name.
        period_s: the finest period that AWS publishes.
    """

    namespace: str
    metric: str
    dimensions: tuple[tuple[str, str], ...]
    statistics: tuple[str, ...]
    period_s: int
    unit: str | None
    tells_traffic: bool

    @property
    def dimensions_json(self) -> str:
        return _encode(dict(self.dimensions)).decode()

    def dimension(self, name: str) -> str | None:
        return dict(self.dimensions).get(name)

    def query_id(self, statistic: str) -> str:
        """The same query has the same id in every run, and its id says nothing else."""
        content = _encode([self.namespace, self.metric, self.dimensions, statistic])
        return f"q{hashlib.sha256(content).hexdigest()[:24]}"


@cache
def load(path: Path = FILE) -> Catalogue:
    """The catalogue.

    Raises:
        SettingsError: the file cannot be read or is wrong; names the entry and its fault.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise SettingsError(f"{path} cannot be read as YAML: {error}") from None
    try:
        catalogue = Catalogue.model_validate(document)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise SettingsError(f"{path}: {faults}. The head of the file says what each field takes.") from None
    seen: set[tuple[str, str, str]] = set()
    for entry in catalogue.metrics:
        for values in product(*([v] if isinstance(v, str) else v for v in entry.dimensions.values())):
            dimensions = _encode(dict(zip(entry.dimensions, values, strict=True))).decode()
            for statistic in entry.statistics:
                key = (entry.metric, dimensions, statistic)
                if key in seen:
                    raise SettingsError(f"{path} asks twice for {statistic} of {entry.metric} with {dimensions}.")
                seen.add(key)
    return catalogue


def account_series(catalogue: Catalogue) -> list[Series]:
    """What is asked of an account and region as a whole."""
    return [_series(catalogue, entry, ()) for entry in catalogue.metrics if not entry.dimensions]


def table_series(
    catalogue: Catalogue,
    name: str,
    table: WatchedTable | None,
    when: Literal["always", "traffic"],
    streams: Collection[str] = (),
) -> list[Series]:
    """What is asked of one table, by the entries' order.

    Args:
        catalogue: the metrics.
        name: of the table.
        table: what is known of it; None when it was deleted: only `$table` has a value then.
        when: the entries to take.
        streams: ARNs of streams that the table has had: reads of one are counted under its own label.
    """
    values = _values(name, table)
    labels = {arn.rpartition("/stream/")[2] for arn in streams}
    values["$stream_label"] = sorted(labels.union(values["$stream_label"]))
    found = []
    for entry in catalogue.metrics:
        if entry.dimensions and entry.when == when:
            choices = [values[v] if isinstance(v, str) else v for v in entry.dimensions.values()]
            for chosen in product(*choices):
                pairs = zip(entry.dimensions, chosen, strict=True)
                found.append(_series(catalogue, entry, tuple(sorted(pairs))))
    return found


def _series(catalogue: Catalogue, entry: MetricEntry, dimensions: tuple[tuple[str, str], ...]) -> Series:
    return Series(
        namespace=catalogue.namespace,
        metric=entry.metric,
        dimensions=dimensions,
        statistics=tuple(entry.statistics),
        period_s=entry.period_s,
        unit=entry.unit,
        tells_traffic=entry.tells_traffic,
    )


def _values(name: str, table: WatchedTable | None) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {variable: [] for variable in VARIABLES}
    values["$table"] = [name]
    if table is None:
        return values
    said = table.description
    values["$index"] = sorted(index["IndexName"] for index in said.get("GlobalSecondaryIndexes", ()))
    values["$vector_index"] = sorted(index["IndexName"] for index in said.get("VectorIndexes", ()))
    if label := said.get("LatestStreamLabel"):  # it stays for a day after the stream was switched off
        values["$stream_label"] = [label]
    values["$replica_region"] = sorted(replica["RegionName"] for replica in said.get("Replicas", ()))
    if values["$replica_region"]:
        values["$write_source"] = ["Customer", "GlobalTable"]
    if table.note.changes_from == "kinesis":
        values["$delegated_operation"] = ["PutRecord"]
    return values
