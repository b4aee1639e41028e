"""The page of settings is made of the code, and says every variable."""

import re

from conftest import ROOT

from tickhouse.settings_table import GROUPS, MODELS, settings_page


def test_the_page_of_settings_is_the_code_s() -> None:
    said = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert said == settings_page(), "make settings writes it anew"


def test_every_setting_has_a_meaning_and_is_in_the_example() -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    named = set(re.findall(r"^#?\s*([A-Z][A-Z0-9_]+)=", example, flags=re.MULTILINE))
    rows = [line.split(" | ") for line in settings_page().splitlines() if line.startswith("| `")]
    grouped = [model for group in GROUPS.values() for model in group]
    assert sorted(model.__name__ for model in grouped) == sorted(model.__name__ for model in MODELS)
    assert len(rows) == sum(len(model.model_fields) for model in MODELS) > 20
    assert [variable for variable, _, meaning in rows if not meaning.strip(" |")] == []
    variables = {name for variable, _, _ in rows for name in re.findall(r"[A-Z][A-Z0-9_]+", variable)}
    assert variables - named == set()


def test_the_example_has_the_lake_s_own_variables() -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    named = set(re.findall(r"^(AWS_[A-Z_]+)=", example, flags=re.MULTILINE))
    assert named == {"AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"}
