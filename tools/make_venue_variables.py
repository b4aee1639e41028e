"""resources/docker/venues.yml, from the settings of every venue: `make settings`. Which variables Docker's extractors get."""

from pathlib import Path

from extract_process.venues import venue_named, venue_names
from tickhouse.settings_table import variables_of

PATH = Path(__file__).resolve().parents[1] / "resources" / "docker" / "venues.yml"
_HEAD = """# Written by `make settings`: the variables of every exchange. Extractors get those that the shell or .env sets.
services:
  venues:
    environment:
"""


def text() -> str:
    """One line a variable; one without a value is passed on by Compose."""
    variables = [name for venue in venue_names() for name in variables_of(venue_named(venue).settings)]
    return _HEAD + "".join(f"      {name}:\n" for name in variables)


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")
