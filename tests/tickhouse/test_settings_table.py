"""The page of settings is made of the code, and says every variable."""

import re

from conftest import ROOT

from extract_process.venues import venue_named, venue_names
from tickhouse.settings_table import all_models, settings_page
from tickhouse_core import settings


def test_the_page_of_settings_is_the_code_s() -> None:
    said = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert said == settings_page(), "make settings writes it anew"


def test_every_setting_has_a_meaning_and_is_in_the_example() -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    named = set(re.findall(r"^#?\s*([A-Z][A-Z0-9_]+)=", example, flags=re.MULTILINE))
    rows = [line.split(" | ") for line in settings_page().splitlines() if line.startswith("| `")]
    assert len(rows) == sum(len(model.model_fields) for model in all_models()) > 20
    assert [variable for variable, _, meaning in rows if not meaning.strip(" |")] == []
    variables = {name for variable, _, _ in rows for name in re.findall(r"[A-Z][A-Z0-9_]+", variable)}
    assert variables - named == set()


def test_every_model_has_a_place_on_the_page() -> None:
    concerns = {model for model in vars(settings).values() if isinstance(model, type) and model.__module__ == settings.__name__}
    venues = {venue_named(name).settings for name in venue_names()}
    listed = list(all_models())
    assert len(listed) == len(set(listed))
    assert set(listed) == concerns | venues


def test_the_example_has_the_addresses_of_every_venue() -> None:
    example = dict(re.findall(r"^([A-Z_]+)=(.+)$", (ROOT / ".env.example").read_text(encoding="utf-8"), flags=re.MULTILINE))
    models = [venue_named(name).settings for name in venue_names()]
    addresses = {
        f"{model.model_config['env_prefix']}{name}".upper(): field.default
        for model in models
        for name, field in model.model_fields.items()
    }
    assert len(addresses) > len(models)
    assert {name: example.get(name) for name in addresses} == addresses


def test_the_example_has_the_lake_s_own_variables() -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    named = set(re.findall(r"^(AWS_[A-Z_]+)=", example, flags=re.MULTILINE))
    assert named == {"AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"}
