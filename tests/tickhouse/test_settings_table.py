"""The page of settings is made of the code, and says every variable."""

import re

import yaml
from conftest import ROOT
from tools import make_venue_variables

from extract_process.venues import venue_named, venue_names
from simulated_exchange.variables import variables_of as variables_from
from tickhouse.settings_table import all_models, settings_page, variables_of
from tickhouse_core import settings


def test_the_page_of_settings_is_the_code_s() -> None:
    said = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert said == settings_page(), "make settings writes it anew"


def test_every_setting_has_a_meaning() -> None:
    rows = [line.split(" | ") for line in settings_page().splitlines() if line.startswith("| `")]
    assert len(rows) == sum(len(model.model_fields) for model in all_models()) > 20
    assert [variable for variable, _, meaning in rows if not meaning.strip(" |")] == []


def test_every_setting_but_those_of_venues_is_in_the_example() -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    named = set(re.findall(r"^#?\s*([A-Z][A-Z0-9_]+)=", example, flags=re.MULTILINE))
    venues = {venue_named(name).settings for name in venue_names()}
    variables = {name for model in all_models() if model not in venues for name in variables_of(model)}
    assert len(variables) > 20
    assert variables - named == set()


def test_every_model_has_a_place_on_the_page() -> None:
    concerns = {model for model in vars(settings).values() if isinstance(model, type) and model.__module__ == settings.__name__}
    venues = {venue_named(name).settings for name in venue_names()}
    listed = list(all_models())
    assert len(listed) == len(set(listed))
    assert set(listed) == concerns | venues


def test_the_addresses_of_the_example_are_the_defaults() -> None:
    example = dict(re.findall(r"^([A-Z_]+)=(.+)$", (ROOT / ".env.example").read_text(encoding="utf-8"), flags=re.MULTILINE))
    models = [venue_named(name).settings for name in venue_names()]
    addresses = {
        f"{model.model_config['env_prefix']}{name}".upper(): field.default
        for model in models
        for name, field in model.model_fields.items()
    }
    told = {name: address for name, address in example.items() if name in addresses}
    assert set(told) >= {"BINANCE_REST_URL", "KUCOIN_REST_URL"}
    assert told == {name: addresses[name] for name in told}


def test_docker_passes_the_variables_of_every_venue_on() -> None:
    assert make_venue_variables.PATH.read_text(encoding="utf-8") == make_venue_variables.text(), "make settings writes it anew"
    variables = {name for venue in venue_names() for name in variables_of(venue_named(venue).settings)}
    assert set(yaml.safe_load(make_venue_variables.text())["services"]["venues"]["environment"]) == variables
    assert set(variables_from("http://127.0.0.1:8090")) == variables, "the simulated exchange serves every venue"


def test_the_example_has_the_lake_s_own_variables() -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    named = set(re.findall(r"^(AWS_[A-Z_]+)=", example, flags=re.MULTILINE))
    assert named == {"AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"}
