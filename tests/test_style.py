"""Plain English in every page of the documents, every --help and the status page: tests/style.toml's rules, and proselint's."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from conftest import ROOT
from proselint.checks import __register__ as proselint_checks
from proselint.config import DEFAULT
from proselint.registry import CheckRegistry
from proselint.tools import LintFile
from tests.page_texts import texts_of_html, texts_of_module, texts_of_script
from tests.prose import Sentence, sentences_of
from tools.make_site import linked_files

from simulated_exchange.__main__ import app as simulator
from tickhouse.cli import app

STYLE = tomllib.loads((Path(__file__).with_name("style.toml")).read_text(encoding="utf-8"))
INSTEAD = {re.compile(pattern, re.IGNORECASE): words for pattern, words in STYLE["instead"].items()}
READERS = {".html": texts_of_html, ".js": texts_of_script, ".py": texts_of_module}
PAGES = [str(page) for page in linked_files(ROOT) if page.suffix == ".md" and str(page) not in STYLE["history"]]


def faults_of(sentence: Sentence) -> Iterator[str]:
    if sentence.words > STYLE["most_words"]:
        yield f"{sentence.words} words, at most {STYLE['most_words']}: {sentence.text}"
    for pattern, words in INSTEAD.items():
        if found := pattern.search(sentence.text):
            yield f"{found[0]!r}, write instead: {words}: {sentence.text}"


def helps(command: Any, name: str) -> Iterator[tuple[str, str]]:
    """The texts of a command, its options and its sub-commands."""
    yield name, command.help or ""
    yield from ((f"{name} {option.opts[0]}", option.help) for option in command.params if getattr(option, "help", None))
    for word, part in getattr(command, "commands", {}).items():
        yield from helps(part, f"{name} {word}")


HELPS = [
    *helps(typer.main.get_command(app), "tickhouse"),
    *helps(typer.main.get_command(simulator), "python -m simulated_exchange"),
    *re.findall(r"(?m)^([a-z-]+:).*## (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8")),
]


FILES = [file for folder in ("", "assets") for file in sorted((ROOT / "src" / "status_page" / folder).iterdir())]
SHOWN = [(file.name, text) for file in FILES if file.suffix in READERS for text in READERS[file.suffix](file.read_text("utf-8"))]
"""What the status page shows, and the file that has it."""


def test_no_document_is_without_a_test_of_its_english() -> None:
    """A page that no link leads to would be left out, in the site too."""
    written = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("resources/**/*.md")]
    assert {str(page.relative_to(ROOT)) for page in written} == {*PAGES, *STYLE["history"]}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_in_plain_english(page: str) -> None:
    sentences = list(sentences_of((ROOT / page).read_text(encoding="utf-8")))
    assert sentences
    assert [f"{page}:{one.line}: {fault}" for one in sentences for fault in faults_of(one)] == []


def test_the_remarks_of_the_environment_are_in_plain_english() -> None:
    text = re.sub(r"(?m)^(# )?[A-Z0-9_]+=.*$|^# ?", "", (ROOT / ".env.example").read_text(encoding="utf-8"))
    assert [f".env.example: {fault}" for one in sentences_of(text) for fault in faults_of(one)] == []


def test_every_help_is_in_plain_english() -> None:
    assert len(HELPS) > 150
    assert [f"{name} --help: {fault}" for name, text in HELPS for one in sentences_of(text) for fault in faults_of(one)] == []


def test_the_status_page_is_in_plain_english() -> None:
    assert {name for name, _ in SHOWN} > {"index.html", "sql.html", "spans.js", "calendar.js", "page.js", "health.py", "guard.py"}
    assert [f"{name}: {fault}" for name, text in SHOWN for one in sentences_of(text) for fault in faults_of(one)] == []


def test_proselint_has_nothing_to_say() -> None:
    CheckRegistry().register_many(proselint_checks)
    config = {**DEFAULT, "checks": {**DEFAULT["checks"], **dict.fromkeys(STYLE["proselint"]["off"], False)}}
    texts = {page: (ROOT / page).read_text(encoding="utf-8") for page in PAGES} | dict(HELPS)
    lines = [f"{name}: {one.text}" for name, text in [*texts.items(), *SHOWN] for one in sentences_of(text)]
    content = "\n;\n".join(lines)  # so that no phrase goes from one sentence into the next
    found = LintFile("documents", content).lint(config)
    places = [content.count("\n", 0, one.check_result.span[0] - 1) // 2 for one in found]  # it begins with a line end of its own
    assert [(lines[place], one.check_result.message) for place, one in zip(places, found, strict=True)] == []


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two\ngoes on: three. `a.b` four", ["One.", "Two goes on: three.", "Code four"]),
        ("# Title\n- item [link](a.md#b)\n- **bold**: Next", ["Title", "item link", "bold:", "Next"]),
        ("| head | er |\n|---|---|\n| a \\| b | c, e.g. D |", ["head", "er", "a \\| b", "c, e.g D"]),
        ("text\n\n    code here\n\n```sh\nmore\n```\nafter", ["text", "after"]),
        ("see https://a.b/c. Then", ["see Code.", "Then"]),
        ("Before.\n\n<!-- bench_a -->\nfigures\n<!-- end of bench_a -->\n\nAfter", ["Before.", "After"]),
    ],
)
def test_sentences_are_found_without_code(text: str, sentences: list[str]) -> None:
    assert [one.text for one in sentences_of(text)] == sentences


def test_words_of_a_script_are_its_strings_and_templates_without_values() -> None:
    script = """// no "remark here"
const words = /`"[/]/.test(x) ? `${several(n, "one gap", 'two gaps')} missing ${x ? `, and ${y.map(({ z }) => z)} more` : ""}`
  : "a \\"b\\" c";
fetch("/api/gaps"); // the end"""
    assert list(texts_of_script(script)) == ["one gap", "two gaps", ", and Code more", "Code missing Code"]
    shown = '<p title="the title">some <b>bold text</b></p><script>var a = "no text";</script><input placeholder="type here">'
    assert list(texts_of_html(shown)) == ["the title", "bold text", "type here"]
    module = '"""A docstring here."""\nx = f"{a} objects wait"\ny = {"one_name": "and more words"}'
    assert list(texts_of_module(module)) == ["Code objects wait", "and more words"]


RIDDLES = (
    "A frame is on local disk before it is told",
    "A lake is live or simulated for ever",
    "at most one message a symbol in so long",
    "What nobody can know is left out",
    "a gap was written down",
    "refuses where nobody can be asked for it",
    "The venue is away and rows of it are mute",
    "How far each level of it is proven",
    "one clock minute of 5,000 levels a side",
    "whoever asks for it hears that it is not there",
)


@pytest.mark.parametrize("riddle", RIDDLES)
def test_a_planted_riddle_is_found_wherever_it_stands(riddle: str) -> None:
    """In a paragraph, a table, a list, a --help, the page's HTML, its scripts and its server."""
    pages = (f"# T\n\nBefore. {riddle}.", f"| a | {riddle} |", f"- **b**: {riddle}", riddle)
    shown = (
        texts_of_html(f"<p>{riddle}</p>"),
        texts_of_script(f"x = `{riddle} ${{y}}`;"),
        texts_of_module(f"x = f'{riddle} {{y}}'"),
    )
    for place in (*pages, *map("\n".join, shown)):
        assert [fault for one in sentences_of(place) for fault in faults_of(one)] != [], place


def test_a_fault_is_found_with_what_to_write() -> None:
    (sentence,) = sentences_of("It " + "very " * 24 + "so many levels a side.")
    assert sentence.words == 30
    said = list(faults_of(sentence))
    assert said[0].startswith("30 words, at most 25: It very")
    assert [fault.split(",")[0] for fault in said[1:]] == ["'so many'", "'levels a side'"]
