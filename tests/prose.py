"""PURE. The sentences of a Markdown page, for the checks of style: code, links and tables become plain words."""

import re
from collections.abc import Iterator
from typing import NamedTuple

CODE_WORD = "Code"
"""What a piece of code counts as: one word, and it may begin a sentence."""

_FENCE = re.compile(r"^```.*?^```$|^<!-- (\w+) -->$.*?^<!-- end of \1 -->$", re.DOTALL | re.MULTILINE)
"""Code, and what a program writes between two remarks: the tables of the benchmarks."""

_ITEM = re.compile(r"^\s*(?:[-*]|\d+\.) ")
_END = re.compile(r"\s·\s|(?<=[.!?:])[)\"*_]*\s+(?=[\"(*_]*(?:[A-Z0-9]|tickhouse ))")
_SHORT = re.compile(r"\b(e\.g|i\.e|etc|vs|al|No)\.")


class Sentence(NamedTuple):
    """`line` is where its paragraph begins."""

    line: int
    text: str

    @property
    def words(self) -> int:
        return sum(any(letter.isalnum() for letter in word) for word in self.text.split())


def sentences_of(page: str) -> Iterator[Sentence]:
    """Those of the paragraphs, list items, headings and table cells."""
    for line, paragraph in _paragraphs(page):
        for text in sentences_in(paragraph):
            yield Sentence(line, text)


def sentences_in(paragraph: str) -> list[str]:
    """A colon ends one where what follows begins with a capital letter."""
    plain = _SHORT.sub(r"\1", _plain(paragraph))
    return [text for part in _END.split(plain) if (text := part.strip())]


def _paragraphs(page: str) -> Iterator[tuple[int, str]]:
    """Line number and text; lines of a paragraph are joined."""
    text = _FENCE.sub(lambda found: "\n" * found[0].count("\n"), page)
    begun, held = 0, ""
    for number, line in enumerate(text.splitlines(), start=1):
        is_code = line.startswith("    ") and not held
        is_row = line.startswith("|")
        if not line.strip() or is_code or is_row or line.startswith("#") or _ITEM.match(line):
            if held:
                yield begun, held
            held = ""
        if is_row:
            yield from ((number, cell) for cell in re.split(r"(?<!\\)\|", line) if not re.fullmatch(r"[\s:-]*", cell))
        elif line.strip() and not is_code:
            begun = begun if held else number
            held = f"{held} {_ITEM.sub('', line).lstrip('# ')}".strip()
    if held:
        yield begun, held


def _plain(text: str) -> str:
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"`[^`]*`", CODE_WORD, text)
    return re.sub(r"https?://\S*[^\s.,:;)]", CODE_WORD, text).replace("**", "")
