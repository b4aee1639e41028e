"""The only reader of the environment: one small model per concern, defaults from the contract.

boto3 reads its own AWS_* variables; they are not repeated here.
"""

from pathlib import Path
from typing import Literal, TypeVar

from dotenv import load_dotenv
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings

from tickhouse_core.errors import UsageError

_HTTP = r"^https?://\S+$"
_WEBSOCKET = r"^wss?://\S+$"


class LakeSettings(BaseSettings, env_ignore_empty=True):
    """Where objects and notifications live; the endpoint and keys are boto3's own variables."""

    bucket: str = Field("crypto", validation_alias="S3_BUCKET", description="the lake")
    copy_dir: Path | None = Field(None, validation_alias="LAKE_COPY_DIR", description="if set, a file of each object too")


class WarehouseSettings(BaseSettings, env_prefix="CLICKHOUSE_", env_ignore_empty=True):
    """A ClickHouse server over HTTP, or the embedded engine when `path` is set."""

    host: str = Field("localhost", description="server")
    port: int = Field(8123, description="HTTP port")
    username: str = Field("default", description="account that may create, insert and alter")
    password: str = Field("", repr=False, description="of the account")
    database: str = Field("crypto", description="where all tables are", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    path: Path | None = Field(None, description="if set, the embedded engine (chDB) with its data in this folder")


class BinanceSettings(BaseSettings, env_prefix="BINANCE_", env_ignore_empty=True):
    """Binance endpoints: a simulator or a proxy can stand in."""

    rest_url: str = Field("https://data-api.binance.vision", pattern=_HTTP, description="whom to ask over REST")
    ws_url: str = Field("wss://data-stream.binance.vision", pattern=_WEBSOCKET, description="where to listen")
    archive_url: str = Field("https://data.binance.vision", pattern=_HTTP, description="bulk history")


class KucoinSettings(BaseSettings, env_prefix="KUCOIN_", env_ignore_empty=True):
    """KuCoin's endpoint; where its sockets are, its answer to the token call says."""

    rest_url: str = Field("https://api.kucoin.com", pattern=_HTTP, description="whom to ask over REST, and for a token")


class SpoolSettings(BaseSettings, env_ignore_empty=True):
    """What an extractor must remember across a restart."""

    folder: Path = Field(Path("data/spool"), validation_alias="SPOOL_DIR", description="a local disk that lasts")


class LoaderSettings(BaseSettings, env_prefix="LOADER_", env_ignore_empty=True):
    """What a loader may take."""

    memory_mb: int | None = Field(None, ge=256, description="unset: the container's limit, or half of the machine up to 4096")


class RetentionSettings(BaseSettings, env_prefix="RETENTION_", env_ignore_empty=True):
    """Days after which copies may go; unset keeps them for ever. The lake's data and the ledger are always kept."""

    bronze_days: int | None = Field(None, ge=1, description="rows of bronze tables, from their load on")
    quarantine_days: int | None = Field(None, ge=1, description="objects under quarantine/")


class PubSubSettings(BaseSettings, env_ignore_empty=True):
    """Google Pub/Sub, or its emulator; the variables are the Google client's own."""

    project: str = Field(
        "tickhouse-local",
        validation_alias="GOOGLE_CLOUD_PROJECT",
        description="where the topics are",
        pattern=r"^[a-z][a-z0-9.:-]*$",
    )
    emulator_host: str | None = Field(
        None, validation_alias="PUBSUB_EMULATOR_HOST", description="unset: Google itself", pattern=r"^[^\s/]+:\d+$"
    )

    @property
    def is_configured(self) -> bool:
        """Whether somebody said where."""
        return bool(self.model_fields_set)


class MetricsSettings(BaseSettings, env_prefix="METRICS_", env_ignore_empty=True):
    """Where a long-running process answers /metrics, /healthz and /readyz."""

    port: int | None = Field(None, ge=0, le=65535, description="unset: nowhere; 0: any free port, the log names it")
    host: str = Field("127.0.0.1", description="loopback unless told otherwise; 0.0.0.0 in a container")


class StatusSettings(BaseSettings, env_prefix="STATUS_", env_ignore_empty=True):
    """The status page: where it listens, whom it asks, and as whom it reads the warehouse."""

    host: str = Field("127.0.0.1", description="loopback unless told otherwise: the page has no password")
    port: int = Field(8080, ge=0, le=65535, description="of the page")
    targets: str = Field("", description="processes whose /metrics the page reads: stream=http://127.0.0.1:9101 loader=…")
    username: str = Field("", description="a reader of the warehouse; empty: CLICKHOUSE_USERNAME and its password")
    password: str = Field("", repr=False, description="of the reader")


class LogSettings(BaseSettings, env_prefix="LOG_", env_ignore_empty=True):
    """How processes speak."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="how much is said")
    format: Literal["text", "json"] = Field("text", description="`json`: one object a line")


Settings = TypeVar("Settings", bound=BaseSettings)


def read(model: type[Settings]) -> Settings:
    """The settings of one concern from the environment and, in development, `.env` (which never overrides).

    Raises UsageError with the variable's name when a value does not fit.
    """
    load_dotenv(".env")
    try:
        return model()
    except ValidationError as error:
        raise UsageError("; ".join(_line(model, problem) for problem in error.errors())) from error


def _line(model: type[BaseSettings], problem: object) -> str:
    details = dict(problem)  # type: ignore[call-overload]  # pydantic's ErrorDetails is a TypedDict
    name = str(details["loc"][0])
    field = model.model_fields.get(name)
    variable = name if field is None else f"{model.model_config.get('env_prefix', '')}{name}"
    return f"environment variable {variable.upper()}: {details['msg']}, got {details['input']!r}"
