"""The only reader of the environment's settings: one small model per concern, defaults from the contract.

A venue's own model is in its folder (`Venue.settings`), made of the shapes here.

A value that does not fit is never repeated: it may be a secret that was pasted into the wrong variable.
"""

import os
import re
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from dotenv import load_dotenv
from pydantic import AfterValidator, Field, ValidationError
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings

from tickhouse_core.cells import Cell, cell_named
from tickhouse_core.errors import UsageError
from tickhouse_core.redaction import know_secrets_of


def _shaped(pattern: str, words: str) -> AfterValidator:
    """Refuses a text that is not wholly of this shape, in words that do not repeat it."""
    shape = re.compile(pattern, re.ASCII)

    def check(text: str) -> str:
        if shape.fullmatch(text) is None:
            raise PydanticCustomError("shape", words)
        return text

    return AfterValidator(check)


def _check_cell(text: str) -> str:
    try:
        cell_named(text)
    except ValueError as error:
        raise PydanticCustomError("cell", str(error)) from None
    return text


CellName = Annotated[str, AfterValidator(_check_cell)]

_HOST = r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])"
_LOCATION = rf"(?:[^\s/?#@]+@)?{_HOST}(?::[0-9]{{1,5}})?(?:/[^\s?#@]*)?"

HttpUrl = Annotated[str, _shaped(rf"https?://{_LOCATION}", "must be a URL such as https://host:port/path, without a query")]
SocketUrl = Annotated[str, _shaped(rf"wss?://{_LOCATION}", "must be a URL such as wss://host:port/path, without a query")]
HostName = Annotated[str, _shaped(rf"{_HOST}|[0-9A-Fa-f:.]+", "must be a host's name or address: no scheme, port or password")]
HostPort = Annotated[str, _shaped(rf"{_HOST}:[0-9]{{1,5}}", "must be host:port, without a scheme")]
BucketName = Annotated[str, _shaped(r"[A-Za-z0-9._-]{1,255}", "must be a bucket's name: letters, digits, dots and hyphens")]
Region = Annotated[str, _shaped(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}", "must be a region's name such as us-east-1")]
DatabaseName = Annotated[str, _shaped(r"[A-Za-z_][A-Za-z0-9_]*", "must have letters, digits and underscores only")]
ProjectName = Annotated[
    str, _shaped(r"[a-z][a-z0-9.:-]*", "must be a project's id: lower-case letters, digits, dots and hyphens")
]
Token = Annotated[
    str, _shaped(r"|[!-~]{16,200}", "must have 16 to 200 characters without spaces: openssl rand -hex 16 makes one")
]
Names = Annotated[str, _shaped(r"[A-Za-z0-9._:\[\] ,-]*", "must be hosts' names, separated by spaces")]
SymbolNames = Annotated[str, _shaped(r"[^@%?#=&]*", "must be symbols, separated by commas or spaces: BTCUSDT,ETHUSDT")]
Pause = Annotated[str, _shaped(r"[1-9][0-9]{0,3}[smhd]|off", "must be a length of time such as 1h, or off")]
Printable = Annotated[str, _shaped(r"[!-~]+", "must not contain spaces, line ends or letters beyond ASCII")]


class AwsSettings(BaseSettings, env_prefix="AWS_", env_ignore_empty=True):
    """The `AWS_` variables are boto3's own.

    They are only checked here: botocore's own refusal would repeat the value. boto3 reads more of them, and its own files.
    """

    endpoint_url: HttpUrl | None = Field(None, description="endpoint of S3 and SQS, such as LocalStack or MinIO; unset: AWS")
    endpoint_url_s3: HttpUrl | None = Field(None, description="endpoint of S3 only")
    endpoint_url_sqs: HttpUrl | None = Field(None, description="endpoint of SQS only")
    default_region: Region | None = Field(None, description="region of bucket and queues")
    access_key_id: Printable | None = Field(None, description="access key id")
    secret_access_key: Printable | None = Field(None, repr=False, description="secret access key")
    session_token: Printable | None = Field(None, repr=False, description="token of temporary credentials")
    profile: Printable | None = Field(None, description="profile in boto3's configuration files")


class LakeSettings(BaseSettings, env_ignore_empty=True):
    """Without `AWS_ENDPOINT_URL`, tickhouse uses AWS itself."""

    base_bucket: BucketName = Field("crypto", validation_alias="S3_BUCKET", description="bucket of the lake")
    copy_dir: Path | None = Field(None, validation_alias="LAKE_COPY_DIR", description="folder for a local copy of each object")
    cell_name: CellName = Field(
        "1/1", validation_alias="TICKHOUSE_CELL", description="which of several cells the process belongs to, such as `2/4`"
    )

    @property
    def cell(self) -> Cell:
        return cell_named(self.cell_name)

    @property
    def bucket(self) -> str:
        """That of the process's cell."""
        return self.bucket_of(self.cell)

    def bucket_of(self, cell: Cell) -> str:
        return f"{self.base_bucket}{cell.suffix}"


class DataSettings(BaseSettings, env_ignore_empty=True):
    """A data folder replaces S3, SQS and a ClickHouse server; `--data` of a command sets it too."""

    folder: Path | None = Field(
        None,
        validation_alias="TICKHOUSE_DATA",
        description="folder of lake, warehouse and spool",
    )

    @property
    def full_path(self) -> str:
        """Of the folder, without links; empty with S3 and a server."""
        return "" if self.folder is None else str(self.folder.resolve())


class CatalogSettings(BaseSettings, env_prefix="TICKHOUSE_CATALOG_", env_ignore_empty=True):
    """`tickhouse catalog` registers compacted objects in an Iceberg catalogue; the rest is in pyiceberg's own variables."""

    uri: str | None = Field(
        None,
        repr=False,
        description="URI of the catalogue: `sqlite:///…`, `postgresql+psycopg2://…`, `https://…` (REST); unset: "
        "`lake/iceberg/catalog.db` in the data folder; for a bucket `PYICEBERG_CATALOG__TICKHOUSE__…`",
    )
    namespace: DatabaseName = Field("tickhouse", description="namespace of the tables; with Glue the database")


class WarehouseSettings(BaseSettings, env_prefix="CLICKHOUSE_", env_ignore_empty=True):
    """tickhouse uses a ClickHouse server over HTTP, or the embedded engine (chDB) with `CLICKHOUSE_PATH`."""

    host: HostName = Field("localhost", description="host name of the server")
    port: int = Field(8123, description="HTTP port")
    username: str = Field("default", description="account with rights to create, insert, alter and drop views")
    password: str = Field("", repr=False, description="password of CLICKHOUSE_USERNAME")
    database: DatabaseName = Field("crypto", description="database of all tables")
    path: Path | None = Field(None, description="folder of the embedded engine (chDB), used instead of a server")


class SqlSettings(BaseSettings, env_prefix="SQL_", env_ignore_empty=True):
    """The process that holds a data folder serves read-only SQL over HTTP on loopback, at `SQL_PORT`."""

    port: int | None = Field(None, ge=0, le=65535, description="unset: 8123, or any free port if 8123 is taken; 0: any free port")


class MarketSettings(BaseSettings, env_ignore_empty=True):
    """`--symbol` of a command takes precedence."""

    active_symbols: SymbolNames = Field(
        "",
        validation_alias="ACTIVE_SYMBOLS",
        description="symbols where no `--symbol` is given, such as BTCUSDT,kucoin:BTC-USDT; empty: resources/markets.yaml",
    )


class SpoolSettings(BaseSettings, env_ignore_empty=True):
    """The spool holds received messages until they are uploaded, and what must survive a restart."""

    folder: Path = Field(Path("data/spool"), validation_alias="SPOOL_DIR", description="folder on a persistent local disk")


class LoaderSettings(BaseSettings, env_prefix="LOADER_", env_ignore_empty=True):
    """One loader keeps to one memory limit."""

    memory_mb: int | None = Field(
        None, ge=256, description="unset: the container's limit, or half of the machine's memory up to 4096"
    )


class RetentionSettings(BaseSettings, env_prefix="RETENTION_", env_ignore_empty=True):
    """Retention is in days, unset: no limit. The lake's data and the ledger are always kept."""

    bronze_days: int | None = Field(None, ge=1, description="rows of bronze tables, counted from their load")
    quarantine_days: int | None = Field(None, ge=1, description="objects under quarantine/")


class CompactionSettings(BaseSettings, env_prefix="COMPACT_", env_ignore_empty=True):
    """`tickhouse local` and the Docker stack merge the lake's small objects on a schedule."""

    every: Pause = Field("1h", description="pause between two passes, such as `6h`; `off`: the lake is not compacted")


class HealingSettings(BaseSettings, env_prefix="HEAL_", env_ignore_empty=True):
    """`tickhouse local` and the Docker stack fill gaps of trades from the files that Binance publishes."""

    every: Pause = Field("24h", description="pause between two passes; `off`: gaps are not filled from files")


class PubSubSettings(BaseSettings, env_ignore_empty=True):
    """The variables are the Google client's own; the emulator works too."""

    project: ProjectName = Field("tickhouse-local", validation_alias="GOOGLE_CLOUD_PROJECT", description="project of the topics")
    emulator_host: HostPort | None = Field(
        None, validation_alias="PUBSUB_EMULATOR_HOST", description="emulator's address; unset: Google"
    )

    @property
    def is_configured(self) -> bool:
        """Whether a project or an emulator is configured."""
        return bool(self.model_fields_set)


class MetricsSettings(BaseSettings, env_prefix="METRICS_", env_ignore_empty=True):
    """A long-running process answers /metrics, /healthz and /readyz at `METRICS_PORT`."""

    port: int | None = Field(None, ge=0, le=65535, description="unset: not served; 0: any free port, named in the log")
    host: HostName = Field("127.0.0.1", description="loopback by default; 0.0.0.0 in a container")


class StatusSettings(BaseSettings, env_prefix="STATUS_", env_ignore_empty=True):
    """These set the page's address and token, the processes it polls, and its account in ClickHouse."""

    host: HostName = Field("127.0.0.1", description="loopback; any other address needs `STATUS_TOKEN`")
    port: int = Field(8080, ge=0, le=65535, description="port of the page")
    token: Token = Field("", repr=False, description="token that the page requires: as `Authorization: Bearer …`, or in a form")
    without_token: bool = Field(
        False, description="`true`: no token beyond loopback; for a container whose port is published there"
    )
    hosts: Names = Field("", description="further accepted Host names, separated by spaces")
    targets: str = Field("", description="processes whose /metrics the page reads: stream=http://127.0.0.1:9101 loader=…")
    compose: bool = Field(False, description="`true`: the commands that the page shows are those of `docker compose`")
    username: str = Field("", description="read-only account of the warehouse; empty: CLICKHOUSE_USERNAME and its password")
    password: str = Field("", repr=False, description="password of STATUS_USERNAME")


class LogSettings(BaseSettings, env_prefix="LOG_", env_ignore_empty=True):
    """Logs go to stderr."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="minimum level")
    format: Literal["text", "json"] = Field("text", description="`json`: one object per line")


Settings = TypeVar("Settings", bound=BaseSettings)


def read(model: type[Settings]) -> Settings:
    """The settings of one concern from the environment and, in development, `.env` (which never overrides).

    Raises UsageError with the variable's name when a value does not fit, without the value.
    From then on no error and no log line has a secret of the environment.
    """
    load_dotenv(".env")
    know_secrets_of(os.environ)
    try:
        return _in_data_folder(model())
    except ValidationError as error:
        said = "; ".join(_line(model, problem) for problem in error.errors(include_input=False, include_url=False))
    raise UsageError(said)  # not from pydantic's error: its text, in a traceback, has the value


def _in_data_folder(settings: Settings) -> Settings:
    """What TICKHOUSE_DATA says of a place wins over the place's own variable."""
    if not (folder := os.environ.get("TICKHOUSE_DATA")):
        return settings
    places: dict[type[BaseSettings], dict[str, object]] = {
        WarehouseSettings: {"path": Path(folder, "warehouse")},
        SpoolSettings: {"folder": Path(folder, "spool")},
    }
    return settings.model_copy(update=places.get(type(settings), {}))


def _line(model: type[BaseSettings], problem: object) -> str:
    details = dict(problem)  # type: ignore[call-overload]  # pydantic's ErrorDetails is a TypedDict
    name = str(details["loc"][0])
    field = model.model_fields.get(name)
    variable = name if field is None else f"{model.model_config.get('env_prefix', '')}{name}"
    return f"environment variable {variable.upper()}: {details['msg']} (its value is not shown)"
