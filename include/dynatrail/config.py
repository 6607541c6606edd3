"""What Dynatrail watches: accounts, regions, trails, tables, log filters, and what is known of each table.

One file, `config/dynatrail.yaml` or where `DYNATRAIL_CONFIG` points. Without a file the settings alone describe one
trail bucket and one account, that of the AWS connection. Where there is a file it rules alone:
`DYNATRAIL_TRAIL_BUCKET`, `DYNATRAIL_TRAIL_PREFIX`, `DYNATRAIL_ACCOUNTS` and `DYNATRAIL_REGIONS` may then only repeat
what it says.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from dynatrail import config_file
from dynatrail.errors import SettingsError

if TYPE_CHECKING:
    from dynatrail.settings import Settings


def _formed(pattern: str, form: str) -> AfterValidator:
    """Refuse text of another form; `form` ends the sentence `must be …`."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"must be {form}")
        return value

    return AfterValidator(check)


AccountId = Annotated[str, _formed(r"\d{12}", 'twelve digits, in quotes: "123456789012"')]
RoleArn = Annotated[
    str, _formed(r"arn:[\w-]+:iam::\d{12}:role/[\w+=,.@/-]+", "a role's ARN: arn:aws:iam::123456789012:role/NAME")
]
PrincipalPattern = Annotated[
    str,
    _formed(
        r"arn:[\w*?-]+:(iam|sts)::[\d*?]+:(role|user|root|assumed-role)[\w+=,.@/*?-]*",
        "the ARN of roles or users; * and ? stand for any text and any character: arn:aws:iam::*:role/BreakGlass*",
    ),
]
Region = Annotated[str, _formed(r"[a-z]{2,}(-[a-z]+)+-\d{1,2}", "a region's code, such as us-east-1")]
TablePattern = Annotated[str, _formed(r"[\w.*?-]+", "a table's name; * and ? stand for any text and any character")]
Sensitivity = Literal["public", "internal", "confidential", "restricted"]


def _bucket_name(value: str) -> str:
    """A bucket's name without `s3://`; a folder's address as it is."""
    if value.startswith("file://"):
        return value
    name = value.removeprefix("s3://").strip("/")
    if not name or re.search(r"\s", name) or ("/" in name and not name.startswith("arn:")):
        raise ValueError("must be a bucket's name alone; what comes after it goes into prefix")
    return name


Bucket = Annotated[str, AfterValidator(_bucket_name)]


def _key_prefix(value: str) -> str:
    prefix = value.strip("/")
    if "AWSLogs" in prefix.split("/"):
        raise ValueError("must end before AWSLogs/: it is S3KeyPrefix of `aws cloudtrail describe-trails`, often empty")
    return prefix


Prefix = Annotated[str, AfterValidator(_key_prefix)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Trail(_Part):
    """One bucket that CloudTrail delivers to."""

    bucket: Bucket = Field(description="S3 bucket, or `file:///folder` with a copy of one.")
    prefix: Prefix = Field(default="", description="Key prefix before `AWSLogs/`, as set on the trail.")
    connection: str = Field(default="", description="Airflow connection that reads it; empty: DYNATRAIL_AWS_CONN_ID.")
    accounts: tuple[AccountId, ...] = Field(default=(), description="Accounts to read; empty: all in the bucket.")
    regions: tuple[Region, ...] = Field(default=(), description="Regions to read; empty: all in the bucket.")

    @property
    def is_copy(self) -> bool:
        """Whether it is a folder, so that no AWS is needed to read it."""
        return self.bucket.startswith("file://")

    @property
    def base(self) -> str:
        """What the keys of all log files begin with."""
        return f"{self.prefix}/AWSLogs/" if self.prefix else "AWSLogs/"

    @model_validator(mode="after")
    def _once(self) -> Self:
        _refuse_twins("accounts", self.accounts)
        _refuse_twins("regions", self.regions)
        return self


class LogFilter(_Part):
    """Log events to take from CloudWatch Logs."""

    name: str = Field(min_length=1, description="Name under which its matches are kept.")
    log_group: str = Field(min_length=1, description="logGroupName.")
    pattern: str = Field(default="", description="FilterLogEvents filterPattern; empty: everything.")
    regions: tuple[Region, ...] = Field(
        default=(), description="Regions that have the log group; empty: every region of the account."
    )


class Account(_Part):
    """One account whose tables, metrics, identities and configuration are read."""

    id: AccountId = Field(description="Account id, in quotes.")
    name: str = Field(default="", description="What people call it.")
    connection: str = Field(default="", description="Airflow connection; empty: DYNATRAIL_AWS_CONN_ID.")
    role_arn: RoleArn | None = Field(
        default=None, description="Role of this account to assume from that connection; it is renewed as a run goes on."
    )
    external_id: str | None = Field(default=None, description="External id that the role's trust policy asks for.")
    regions: tuple[Region, ...] = Field(min_length=1, description="Regions to read.")
    tables: tuple[TablePattern, ...] = Field(
        default=("*",), min_length=1, description="Tables to read, by name with `*` and `?`."
    )
    tags: dict[str, str] = Field(default={}, description="Only tables that carry all of these tags.")
    log_filters: tuple[LogFilter, ...] = Field(default=(), description="Log events to take.")

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        _refuse_twins("regions", self.regions)
        _refuse_twins("the names of log_filters", (one.name for one in self.log_filters))
        if self.role_arn and self.role_arn.split(":")[4] != self.id:
            raise ValueError(
                f"role_arn is of account {self.role_arn.split(':')[4]}, but id is {self.id}: name a role of {self.id}"
            )
        if self.external_id and not self.role_arn:
            raise ValueError("external_id is for assuming a role, and there is no role_arn: add it, or leave both out")
        return self


class TableNote(_Part):
    """What is known of the tables whose names match; the first match counts."""

    match: TablePattern = Field(description="Table name with `*` and `?`.")
    purpose: str = Field(default="", description="What the data is for, in the words of the record of processing.")
    sensitivity: Sensitivity = Field(default="confidential", description="How sensitive the data is.")
    changes_from: Literal["stream", "kinesis", "none"] = Field(
        default="stream", description="Where item changes are read; a table has one origin so that none counts twice."
    )
    sample_scan: bool = Field(
        default=False,
        description="Whether `discover_sensitive_data` may read items of the table itself by a slow Scan, not only its "
        "newest changes; costs read units.",
    )
    export_bucket: str = Field(
        default="", description="Bucket that exports for repair and verification go to; empty: `exports.bucket`."
    )


class Exports(_Part):
    """Where incremental exports go."""

    bucket: str = Field(default="", description="S3 bucket; empty: no export is ever asked for.")
    prefix: str = Field(default="dynatrail", description="Key prefix before `AWSDynamoDB/`.")

    @field_validator("bucket")
    @classmethod
    def _named(cls, value: str) -> str:
        return _bucket_name(value) if value else value


class Config(_Part):
    """The whole file."""

    version: Literal[1] = Field(default=1, description="Form of this file.")
    trails: tuple[Trail, ...] = Field(default=(), description="Trail buckets.")
    accounts: tuple[Account, ...] = Field(default=(), description="Accounts; empty: that of the AWS connection.")
    tables: tuple[TableNote, ...] = Field(default=(), description="Notes on tables.")
    exports: Exports = Field(default=Exports(), description="Incremental exports.")
    break_glass: tuple[PrincipalPattern, ...] = Field(
        default=(), description="Roles and users for emergencies, by ARN; whatever is done with them is marked as such."
    )
    stream_alarm_hours: float = Field(
        default=18, gt=0, lt=24, description="Age of a checkpoint above which an alarm is raised; streams keep 24 h."
    )

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        _refuse_twins("accounts", (account.id for account in self.accounts))
        _refuse_twins("trails", (f"{trail.bucket}/{trail.prefix}".rstrip("/") for trail in self.trails))
        for at, note in enumerate(self.tables):
            if hidden := next((one for one in self.tables[:at] if fnmatchcase(note.match, one.match)), None):
                raise ValueError(
                    f"the note {note.match!r} in tables is never reached, since {hidden.match!r} before it matches the "
                    "same names: put the narrower one first"
                )
        return self

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
        SettingsError: the file cannot be read or is wrong, or the settings say something else; names field, line and
            fix, and never a value that may be secret.
    """
    path = settings.config_file
    if not path.exists():
        if settings.config:
            raise SettingsError(f"DYNATRAIL_CONFIG names {path}, and there is no such file. Copy config/example.yaml.")
        return _from_settings(settings)
    source = config_file.read(path)
    try:
        found = Config.model_validate(source.content)
    except ValidationError as error:
        raise source.refused(error, Config) from None
    for variable, said in _contradictions(found, settings):
        raise SettingsError(
            f"{variable} says something else than {path}: {said}. Where there is a file it rules alone: unset the "
            "variable, or correct the file."
        )
    return found


def targets(config: Config) -> list[Target]:
    """Every region of every account, in the file's order."""
    return [Target(account, region) for account in config.accounts for region in account.regions]


def _from_settings(settings: "Settings") -> Config:
    if not settings.trail_bucket:
        return Config()
    try:
        trail = Trail(
            bucket=settings.trail_bucket,
            prefix=settings.trail_prefix,
            accounts=settings.accounts,
            regions=settings.regions,
        )
    except ValidationError as error:
        variables = {"bucket": "DYNATRAIL_TRAIL_BUCKET", "prefix": "DYNATRAIL_TRAIL_PREFIX"}
        faults = [
            f"{variables.get(where := str((*fault['loc'], '')[0]), f'DYNATRAIL_{where.upper()}')} "
            + fault["msg"].removeprefix("Value error, ")
            for fault in error.errors(include_input=False)
        ]
        raise SettingsError(f"{'; '.join(faults)}. docs/reference/settings.md says what each takes.") from None
    return Config(trails=(trail,))


def _contradictions(config: Config, settings: "Settings") -> Iterator[tuple[str, str]]:
    """Variables that are set beside a file and say something else: name, and what the two say."""
    if not (settings.trail_bucket or settings.trail_prefix or settings.accounts or settings.regions):
        return
    trails = config.trails
    if settings.trail_bucket:
        named = settings.trail_bucket.removeprefix("s3://").strip("/")
        trails = tuple(trail for trail in trails if trail.bucket.rstrip("/") == named.rstrip("/"))
        if not trails:
            buckets = ", ".join(trail.bucket for trail in config.trails) or "no trail"
            yield "DYNATRAIL_TRAIL_BUCKET", f"the variable names {named}, the file {buckets}"
            return
    checks: tuple[tuple[str, Iterable[str], Callable[[Trail], Iterable[str]]], ...] = (
        ("DYNATRAIL_TRAIL_PREFIX", (settings.trail_prefix,) * bool(settings.trail_prefix), lambda one: (one.prefix,)),
        ("DYNATRAIL_ACCOUNTS", settings.accounts, lambda one: one.accounts),
        ("DYNATRAIL_REGIONS", settings.regions, lambda one: one.regions),
    )
    for variable, said, of_trail in checks:
        if said and not any(set(said) == set(of_trail(trail)) for trail in trails):
            told = " or ".join(", ".join(of_trail(trail)) or "nothing" for trail in trails) or "no trail"
            yield variable, f"the variable says {', '.join(said)}, the file's trail {told}"


def _refuse_twins(what: str, values: Iterable[str]) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise ValueError(f"{value} is in {what} twice: leave one out")
        seen.add(value)
