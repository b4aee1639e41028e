"""What the documents say to type can be typed: programs, options and values are parsed. `make test-long` runs all of it."""

import importlib
import re
import shlex
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import typer
from conftest import ROOT
from integration_tests.src.docs.shell import commands_of
from tools.make_site import CODE, linked_files, links_of, navigation, resolved

from tickhouse.cli import app

DOCS = ("cli", "data-model", "docker", "export", "operations", "pubsub", "recipes", "simulator", "troubleshooting")
PAGES = ("README.md", *(f"docs/{name}.md" for name in DOCS), "CONTRIBUTING.md")
TARGETS = {line.split(":")[0] for line in (ROOT / "Makefile").read_text().splitlines() if ":" in line}


def module_command(name: str) -> Any:
    """What `python -m name` parses its arguments with."""
    try:
        module = importlib.import_module(f"{name}.__main__")
    except ModuleNotFoundError:
        module = importlib.import_module(name)
    if hasattr(module, "app"):
        return typer.main.get_command(module.app)
    alone = typer.Typer()
    alone.command()(module.main)
    return typer.main.get_command(alone)


def test_the_operator_reads_the_words_of_the_status_page() -> None:
    page = (ROOT / "src" / "status_page" / "assets" / "page.js").read_text(encoding="utf-8")
    tiles = re.findall(r'(?m)^  \w+: \["(\w+)", "', page)
    verdicts = re.findall(r'\w+: "(\w+)"', page.split("const WORDS = ")[1].split(";")[0])
    assert (len(tiles), len(verdicts)) == (4, 4)
    said = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    assert [word for word in (*tiles, *verdicts) if not re.search(rf"\b{word}\b", said)] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_can_be_parsed(page: str) -> None:
    found = list(commands_of(ROOT / page))
    assert found
    for words in found:
        words = [word for word in words if "=" not in word or not word.split("=")[0].isupper()]
        words = words[2:] if words[:2] == ["poetry", "run"] else words
        words = shlex.split(words[1][2:-1]) if words[:1] == ["eval"] else words  # eval "$(…)"
        if not words or words[0] in ("export", "source", "cp", "docker", "promtool") or words[0].endswith(("/pip", "/python")):
            continue
        if words[0] == "make":
            assert words[1] in TARGETS, words
        elif words[0] == "tickhouse":
            group: Any = typer.main.get_command(app)
            assert words[1] in group.commands, words
            group.commands[words[1]].make_context(words[1], words[2:])
        else:
            assert words[:2] in (["python", "-m"], ["python", "-c"]), f"{page}: nobody knows how to run {words}"
            if words[2] != "venv":
                module_command(words[2]).make_context(words[2], words[3:])


def test_the_picture_of_the_readme_is_there() -> None:
    assert Path(ROOT / "docs" / "images" / "status-page-light.png").read_bytes()[:4] == b"\x89PNG"


SITE = list(linked_files(ROOT))


def test_every_picture_is_made_by_the_script_and_used_by_a_document() -> None:
    from tools.screenshots import PICTURES  # the whole pipeline

    made = {f"docs/images/status-page-{name}.png" for name in PICTURES}
    assert {str(path.relative_to(ROOT)) for path in (ROOT / "docs" / "images").iterdir()} == made
    assert made - {str(page) for page in SITE} == set()


def headings_of(path: PurePosixPath) -> set[str]:
    """The anchors that GitHub and the site make of the headings."""
    titles = re.findall(r"^#+ (.+)$", CODE.sub("", (ROOT / path).read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", [page for page in SITE if page.suffix == ".md"], ids=str)
def test_every_link_leads_to_a_file_and_to_a_heading_that_are_there(page: PurePosixPath) -> None:
    for link in links_of((ROOT / page).read_text(encoding="utf-8")):
        target, anchor = resolved(page, link), link.partition("#")[2]
        assert (ROOT / target).is_file(), f"{page}: {link}"
        assert not anchor or anchor in headings_of(target), f"{page}: {link}"


def test_links_lead_from_the_readme_to_every_page() -> None:
    pages = {PurePosixPath(path.relative_to(ROOT)) for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"))}
    assert pages - set(SITE) == set()


def test_the_site_has_every_page_in_its_navigation_once() -> None:
    pages = [str(page) for page in SITE if page.suffix == ".md"]
    shown = [page for part in navigation([*pages, "docs/new.md"]) for section in part.values() for page in always_list(section)]
    assert sorted(shown) == sorted([*pages, "docs/new.md"])


def always_list(section: str | list[str]) -> list[str]:
    return [section] if isinstance(section, str) else section
