"""The table of every setting, made of the models that read them: `python -m tickhouse.settings_table > docs/settings.md`."""

from collections.abc import Iterator
from itertools import chain

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from extract_process.venues import venue_named, venue_names
from tickhouse_core import settings

Models = tuple[type[BaseSettings], ...]


def groups() -> dict[str, Models]:
    """By what people search for: every concern of tickhouse_core.settings, and each venue's."""
    return {
        "S3, SQS and AWS credentials": (settings.AwsSettings, settings.LakeSettings),
        "Data folder": (settings.DataSettings, settings.SpoolSettings),
        "Iceberg catalogue": (settings.CatalogSettings,),
        "ClickHouse": (settings.WarehouseSettings, settings.SqlSettings),
        "Symbols and exchanges": (settings.MarketSettings, *(venue_named(name).settings for name in venue_names())),
        "Memory, retention, compaction and healing": (
            settings.LoaderSettings,
            settings.RetentionSettings,
            settings.CompactionSettings,
            settings.HealingSettings,
        ),
        "Google Pub/Sub": (settings.PubSubSettings,),
        "Status page": (settings.StatusSettings,),
        "Metrics and logs": (settings.MetricsSettings, settings.LogSettings),
    }


def all_models() -> Iterator[type[BaseSettings]]:
    return chain.from_iterable(groups().values())


_HEAD = """# Settings

tickhouse reads all settings from environment variables. In development it also reads `.env`, which never overrides them:
copy [.env.example](../.env.example), which has most of them. The code that reads the settings writes this page (`make settings`).

An error for a wrong value names the variable and never shows the value. In every error and log line `***` replaces tokens,
secrets and passwords in URLs. Google's credentials are in `GOOGLE_APPLICATION_CREDENTIALS`, as Google's client reads them.
"""


def settings_page() -> str:
    """Markdown: one table a group."""
    return "\n".join([_HEAD, *(_table(title, models) for title, models in groups().items())])


def variables_of(model: type[BaseSettings]) -> list[str]:
    """The environment's names of a concern's settings."""
    return [name for name, _, _ in _rows(model)]


def _table(title: str, models: Models) -> str:
    about = " ".join(_first_line(model) for model in models)
    rows = [f"| `{name}` | {default} | {meaning} |" for model in models for name, default, meaning in _rows(model)]
    return "\n".join([f"## {title}", "", about, "", "| variable | default | meaning |", "|---|---|---|", *rows, ""])


def _rows(model: type[BaseSettings]) -> Iterator[tuple[str, str, str]]:
    prefix = str(model.model_config.get("env_prefix", ""))
    for name, field in model.model_fields.items():
        yield _variable(prefix, name, field), _default(field), field.description or ""


def _variable(prefix: str, name: str, field: FieldInfo) -> str:
    alias = field.validation_alias
    return str(alias) if alias is not None else f"{prefix}{name}".upper()


def _default(field: FieldInfo) -> str:
    if field.default is None or field.default is PydanticUndefined:
        return "unset"
    return f"`{field.default}`" if str(field.default) else "empty"


def _first_line(model: type[BaseSettings]) -> str:
    return (model.__doc__ or "").strip().splitlines()[0]


if __name__ == "__main__":
    print(settings_page(), end="")
