"""What Dynatrail watches: accounts, regions, trails, tables, log filters, and what is known of each table.

One file, `config/dynatrail.yaml` or where `DYNATRAIL_CONFIG` points. Without a file the settings alone describe one
trail bucket and one account, that of the AWS connection.
"""

from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dynatrail.errors import SettingsError

if TYPE_CHECKING:
    from dynatrail.settings import Settings

AccountId = Annotated[str, Field(pattern=r"^\d{12}$")]
RoleArn = Annotated[str, Field(pattern=r"^arn:[\w-]+:iam::\d{12}:role/.+$")]
Sensitivity = Literal["public", "internal", "confidential", "restricted"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Trail(_Part):
    """One bucket that CloudTrail delivers to."""

    bucket: str = Field(description="S3 bucket, or `file:///folder` with a copy of one.")
    prefix: str = Field(default="", description="Key prefix before `AWSLogs/`, as set on the trail.")
    connection: str = Field(default="", description="Airflow connection that reads it; empty: DYNATRAIL_AWS_CONN_ID.")
    accounts: tuple[AccountId, ...] = Field(default=(), description="Accounts to read; empty: all in the bucket.")
    regions: tuple[str, ...] = Field(default=(), description="Regions to read; empty: all in the bucket.")


class LogFilter(_Part):
    """Log events to take from CloudWatch Logs."""

    name: str = Field(description="Name under which its matches are kept.")
    log_group: str = Field(description="logGroupName.")
    pattern: str = Field(default="", description="FilterLogEvents filterPattern; empty: everything.")


class Account(_Part):
    """One account whose tables, metrics, identities and configuration are read."""

    id: AccountId = Field(description="Account id, in quotes.")
    name: str = Field(default="", description="What people call it.")
    connection: str = Field(default="", description="Airflow connection; empty: DYNATRAIL_AWS_CONN_ID.")
    role_arn: RoleArn | None = Field(default=None, description="Role to assume from that connection.")
    external_id: str | None = Field(default=None, description="External id that the role's trust policy asks for.")
    regions: tuple[str, ...] = Field(min_length=1, description="Regions to read.")
    tables: tuple[str, ...] = Field(default=("*",), description="Tables to read, by name with `*` and `?`.")
    tags: dict[str, str] = Field(default={}, description="Only tables that carry all of these tags.")
    log_filters: tuple[LogFilter, ...] = Field(default=(), description="Log events to take, in every region.")


class TableNote(_Part):
    """What is known of the tables whose names match; the first match counts."""

    match: str = Field(description="Table name with `*` and `?`.")
    purpose: str = Field(default="", description="What the data is for, in the words of the record of processing.")
    sensitivity: Sensitivity = Field(default="confidential", description="How sensitive the data is.")
    changes_from: Literal["stream", "kinesis", "none"] = Field(
        default="stream", description="Where item changes are read; a table has one origin so that none counts twice."
    )
    clear_attributes: tuple[str, ...] = Field(
        default=(), description="Top-level attributes whose values may be kept in clear in item images."
    )
    export_bucket: str = Field(
        default="", description="Bucket that exports for repair and verification go to; empty: `exports.bucket`."
    )


class Exports(_Part):
    """Where incremental exports go."""

    bucket: str = Field(default="", description="S3 bucket; empty: no export is ever asked for.")
    prefix: str = Field(default="dynatrail", description="Key prefix before `AWSDynamoDB/`.")


class Config(_Part):
    """The whole file."""

    version: Literal[1] = Field(default=1, description="Form of this file.")
    trails: tuple[Trail, ...] = Field(default=(), description="Trail buckets.")
    accounts: tuple[Account, ...] = Field(default=(), description="Accounts; empty: that of the AWS connection.")
    tables: tuple[TableNote, ...] = Field(default=(), description="Notes on tables.")
    exports: Exports = Field(default=Exports(), description="Incremental exports.")
    stream_alarm_hours: float = Field(
        default=18, gt=0, lt=24, description="Age of a checkpoint above which an alarm is raised; streams keep 24 h."
    )

    def note(self, table_name: str) -> TableNote:
        """What is known of a table; the defaults when nothing is."""
        found = (note for note in self.tables if fnmatchcase(table_name, note.match))
        return next(found, TableNote(match=table_name))

    @property
    def stream_alarm_after(self) -> timedelta:
        return timedelta(hours=self.stream_alarm_hours)


@dataclass(frozen=True, slots=True)
class Target:
    """One region of one account, and how to get in."""

    account: Account
    region: str

    @property
    def account_id(self) -> str:
        return self.account.id

    def wants(self, table_name: str) -> bool:
        """Whether the table's name is one to read; its tags are another question."""
        return any(fnmatchcase(table_name, pattern) for pattern in self.account.tables)


def load(settings: "Settings") -> Config:
    """The configuration: from the file, or from the settings where there is none.

    Raises:
        SettingsError: the file cannot be read or is wrong; names the field, the value's fault and the fix.
    """
    path = settings.config_file
    if not path.exists():
        return _from_settings(settings)
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise SettingsError(f"{path} cannot be read as YAML: {error}. config/example.yaml shows the form.") from None
    try:
        return Config.model_validate(document or {})
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']} (got {e['input']!r})" for e in error.errors())
        raise SettingsError(f"{path}: {faults}. docs/reference/configuration.md says what each field takes.") from None


def targets(config: Config) -> list[Target]:
    """Every region of every account, in the file's order."""
    return [Target(account, region) for account in config.accounts for region in account.regions]


def _from_settings(settings: "Settings") -> Config:
    trail = Trail(
        bucket=settings.trail_bucket,
        prefix=settings.trail_prefix,
        accounts=settings.accounts,
        regions=settings.regions,
    )
    return Config(trails=(trail,) if settings.trail_bucket else ())
