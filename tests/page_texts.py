"""PURE. The words of the status page, for the checks of style: text of its HTML, strings of its scripts and of its server."""

import ast
import re
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser

from tests.prose import CODE_WORD

_WORDS = re.compile(r"^(?![<(]).*[A-Za-z]{2,}[,:;.…·]* [A-Za-z]{2,}", re.DOTALL)
"""Two words and more: a name or an attribute is no prose, nor what begins with a tag or a bracket."""

_SHOWN = ("title", "aria-label", "placeholder")
_TOKEN = re.compile(
    r"""(?P<remark>//[^\n]*|/\*.*?\*/)|(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<open>`)|(?P<brace>[{}])"""
    r"""|(?P<pattern>(?<=[=(,:&|!?])\s*/(?:[^/\\\n\[]|\\.|\[[^\]]*\])+/)""",
    re.DOTALL,
)
_PIECE = re.compile(r"(?P<text>(?:[^`\\$]|\\.|\$(?!\{))+)|(?P<hole>\$\{)|(?P<close>`)", re.DOTALL)


def texts_of_html(page: str) -> Iterator[str]:
    """Text between tags, and of the attributes that are shown or read out."""
    found: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.extend(value for name, value in attrs if name in _SHOWN and value)
            self.skipped = tag in ("script", "style", "textarea", "code")

        def handle_endtag(self, _tag: str) -> None:
            self.skipped = False

        def handle_data(self, data: str) -> None:
            if not getattr(self, "skipped", False):
                found.append(" ".join(data.split()))

    reader = Reader()
    reader.feed(page)
    reader.close()
    yield from _prose(found)


def texts_of_script(source: str) -> Iterator[str]:
    """Strings and templates of JavaScript; a value in a template counts as one word. Nested templates come by themselves."""
    found: list[str] = []
    _code(source, 0, found)
    yield from _prose(found)


def _prose(texts: Iterable[str]) -> Iterator[str]:
    """Those that have words of their own; values side by side are one."""
    for text in texts:
        joined = re.sub(rf"{CODE_WORD}(?: ?{CODE_WORD})+", CODE_WORD, text)
        if _WORDS.search(joined) and re.search("[a-z]{3}", joined.replace(CODE_WORD, "")):
            yield joined


def _code(source: str, at: int, found: list[str]) -> int:
    """Reads code up to the brace that closes it; returns where it went on to."""
    depth = 0
    while token := _TOKEN.search(source, at):
        at = token.end()
        if token["string"]:
            found.append(token["string"][1:-1])
        elif token["open"]:
            at = _template(source, at, found)
        elif token["brace"]:
            depth += 1 if token["brace"] == "{" else -1
            if depth < 0:
                return at
    return len(source)


def _template(source: str, at: int, found: list[str]) -> int:
    text = ""
    while piece := _PIECE.match(source, at):
        at = piece.end()
        if piece["close"]:
            break
        if piece["hole"]:
            at = _code(source, at, found)
            text += CODE_WORD
        else:
            text += piece["text"]
    found.append(text)
    return at


def texts_of_module(source: str) -> Iterator[str]:
    """Strings of Python that are no docstrings; a value in an f-string counts as one word."""
    tree = ast.parse(source)
    parts = {
        id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node) if part is not node
    }
    remarks = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if id(node) in parts | remarks:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        elif isinstance(node, ast.JoinedStr):
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else CODE_WORD for part in node.values)
        else:
            continue
        yield from _prose([text])
