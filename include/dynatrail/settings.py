"""Every setting of Dynatrail: `DYNATRAIL_<FIELD>` in the environment, read through `settings()`."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from dynatrail.errors import SettingsError

PROJECT = Path(__file__).resolve().parents[2]
"""The project's root: where `dags/`, `sql/` and `include/` lie."""

CommaList = Annotated[tuple[str, ...], NoDecode]


class Settings(BaseSettings):
    """Read once per call of `settings()`; frozen, so a task sees one set of values from start to end."""

    model_config = SettingsConfigDict(env_prefix="DYNATRAIL_", frozen=True, extra="ignore")

    home: Path = Field(
        default=PROJECT / ".state",
        description="Folder for everything that Dynatrail keeps on this machine: the embedded warehouse, the state "
        "database, the masking key, quality results and evidence.",
    )
    warehouse: str = Field(
        default="", description="Folder or `s3://bucket/prefix` of the Delta tables; empty: `<home>/warehouse`."
    )
    state_url: str = Field(
        default="", description="SQLAlchemy URL of the state database; empty: SQLite at `<home>/state.db`."
    )
    evidence: str = Field(default="", description="Folder that snapshots are published to; empty: `<home>/evidence`.")
    config: str = Field(
        default="",
        description="File that names accounts, regions, trails and tables; empty: `config/dynatrail.yaml` of the "
        "project, if there is one.",
    )
    masking: str = Field(
        default="", description="Folder of the masking policy's files; empty: `include/masking` of the project."
    )
    detection: str = Field(
        default="",
        description="Folder with classes of sensitive data and names of attributes; empty: `include/detection` of the "
        "project.",
    )
    aws_conn_id: str = Field(default="aws_default", description="Airflow connection that all AWS calls use.")
    warehouse_conn_id: str = Field(
        default="", description="Airflow connection for an `s3://` warehouse; empty: the same as `aws_conn_id`."
    )
    trail_bucket: str = Field(default="", description="S3 bucket that CloudTrail delivers to.")
    trail_prefix: str = Field(default="", description="Key prefix before `AWSLogs/`, as set on the trail.")
    accounts: CommaList = Field(
        default=(), description="Account ids to read, comma separated; empty: every account found in the bucket."
    )
    regions: CommaList = Field(
        default=(), description="Regions to read, comma separated; empty: every region found in the bucket."
    )
    lookback_hours: int = Field(
        default=24,
        ge=1,
        le=24 * 31,
        description="How far before its interval an extract run lists again, for objects delivered late under an "
        "earlier name. CloudTrail names objects by delivery time, so this covers slow writes, not late events.",
    )
    metric_lookback_hours: int = Field(
        default=3,
        ge=0,
        le=48,
        description="How far before its interval `extract_cloudwatch` reads again, for datapoints that arrive late. "
        "CloudWatch bills metrics asked for, not datapoints, so up to 23 costs nothing more.",
    )
    settle_hours: int = Field(
        default=6,
        ge=1,
        le=24 * 31,
        description="How far the data must have come past the end of an hour before `coverage` states it as complete "
        "and not as complete_provisional. CloudTrail delivers all but rare files within minutes, CloudWatch within "
        "hours.",
    )
    batch_mb: int = Field(
        default=8,
        ge=1,
        description="Compressed megabytes of CloudTrail objects that one mapped task takes; bounds its memory.",
    )
    max_object_mb: int = Field(
        default=512,
        ge=1,
        description="Uncompressed megabytes above which an object is quarantined unread; CloudTrail's own limit is 50.",
    )
    wrapping_key: str = Field(
        default="",
        description="Name of an Airflow Variable with the base64 key that wraps the data keys of subjects; empty: a "
        "generated file `<home>/wrapping.key`, mode 0600.",
    )
    token_key: str = Field(
        default="",
        description="Name of an Airflow Variable (any secrets backend) with the base64 masking key; empty: a generated "
        "file `<home>/token.key`, mode 0600.",
    )
    git_commit: str = Field(
        default="",
        description="Commit that this installation was built from, as evidence names it; empty: asked of git, if the "
        "project is a repository.",
    )
    sandbox_python: str = Field(
        default="",
        description="Python that has `ministack[full]`, for the sandbox; empty: the project's `.venv-sandbox`.",
    )
    engine_threads: int = Field(default=2, ge=1, description="Threads of one task's DuckDB.")
    engine_memory: str = Field(default="1GB", description="Memory limit of one task's DuckDB.")

    @field_validator("accounts", "regions", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("trail_prefix")
    @classmethod
    def _no_slashes(cls, value: str) -> str:
        return value.strip("/")

    @property
    def masking_folder(self) -> Path:
        return Path(self.masking) if self.masking else PROJECT / "include" / "masking"

    @property
    def detection_folder(self) -> Path:
        return Path(self.detection) if self.detection else PROJECT / "include" / "detection"

    @property
    def config_file(self) -> Path:
        return Path(self.config) if self.config else PROJECT / "config" / "dynatrail.yaml"

    @property
    def warehouse_root(self) -> str:
        return self.warehouse or str(self.home / "warehouse")

    @property
    def state_database(self) -> str:
        return self.state_url or f"sqlite:///{self.home / 'state.db'}"

    @property
    def evidence_root(self) -> Path:
        return Path(self.evidence) if self.evidence else self.home / "evidence"


def settings() -> Settings:
    """The settings as the environment gives them now.

    Raises:
        SettingsError: a value does not parse; the message names the variable and what it takes.
    """
    try:
        return Settings()
    except ValidationError as error:
        faults = "; ".join(
            f"DYNATRAIL_{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors(include_input=False)
        )
        raise SettingsError(f"{faults}. See docs/reference/settings.md for what each takes.") from None
