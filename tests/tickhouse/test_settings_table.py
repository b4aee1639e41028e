"""The page of settings is made of the code, and says every variable."""

from conftest import ROOT

from tickhouse.settings_table import MODELS, settings_page


def test_the_page_of_settings_is_the_code_s() -> None:
    said = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert said == settings_page(), "make docs writes it anew"


def test_every_setting_has_a_meaning_and_is_in_the_example() -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in settings_page().splitlines() if line.startswith("| `")]
    assert len(rows) == sum(len(model.model_fields) for model in MODELS) > 20
    for variable, _, meaning in rows:
        assert meaning.strip(" |"), variable
        assert variable.strip("| `") in example
