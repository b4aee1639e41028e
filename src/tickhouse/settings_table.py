"""The table of every setting, made of the models that read them: `python -m tickhouse.settings_table > docs/settings.md`."""

from collections.abc import Iterator

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from tickhouse_core import settings

MODELS: tuple[type[BaseSettings], ...] = tuple(
    model for model in vars(settings).values() if isinstance(model, type) and model.__module__ == settings.__name__
)
"""Every concern of tickhouse_core.settings, in its order."""

_HEAD = """# Settings

Everything is read from the environment, and in development from `.env`, which never overrides. This page is made of the code
that reads them (`make settings`); a test keeps it true. [.env.example](../.env.example) is the same to copy.

A value that does not fit is refused with the variable's name and never printed; passwords in URLs, tokens and secrets are
replaced by `***` in every error and log line. Credentials of Google are its client's: `GOOGLE_APPLICATION_CREDENTIALS`.
"""


def settings_page() -> str:
    """Markdown: one table a concern."""
    return "\n".join([_HEAD, *(_table(model) for model in MODELS)])


def variables_of(model: type[BaseSettings]) -> list[str]:
    """The environment's names of a concern's settings."""
    return [name for name, _, _ in _rows(model)]


def _table(model: type[BaseSettings]) -> str:
    rows = [f"| `{name}` | {default} | {meaning} |" for name, default, meaning in _rows(model)]
    return "\n".join([f"## {_first_line(model)}", "", "| variable | default | meaning |", "|---|---|---|", *rows, ""])


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
    return (model.__doc__ or "").strip().splitlines()[0].rstrip(".")


if __name__ == "__main__":
    print(settings_page(), end="")
