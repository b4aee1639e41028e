"""The site of the documents, from the same files: `make docs`. README.md is its first page, links lead to the others.

Copies every page and file that a link leads to into .site/pages, in the repository's own tree, and has mkdocs build site/.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

import yaml

ROOT = Path(__file__).resolve().parents[1]
STAGE = ROOT / ".site"
FIRST_PAGE = PurePosixPath("README.md")
SECTIONS: Mapping[str, Sequence[str]] = {
    "Use": (
        "docs/cli.md",
        "docs/python.md",
        "docs/recipes.md",
        "docs/export.md",
        "docs/data-model.md",
        "docs/settings.md",
        "docs/pubsub.md",
        "resources/pubsub/README.md",
        "docs/simulator.md",
    ),
    "Operate": (
        "docs/docker.md",
        "docs/deploy-aws.md",
        "docs/scaling.md",
        "docs/operations.md",
        "docs/troubleshooting.md",
        "docs/failures.md",
        "docs/performance.md",
    ),
    "Develop": ("ARCHITECTURE.md", "CONTRIBUTING.md", "ADD_A_VENUE.md", "SECURITY.md", "CHANGELOG.md"),
}
"""The order of the pages that are known here. Pages that a link leads to and that are not, come after them."""

CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def main() -> None:
    """Builds site/. Exits with 1 after mkdocs's own lines where a link or an anchor is dead."""
    shutil.rmtree(STAGE, ignore_errors=True)
    files = list(linked_files(ROOT))
    for file in files:
        target = STAGE / "pages" / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / file, target)
    pages = [str(file) for file in files if file.suffix == ".md"]
    config = STAGE / "mkdocs.yml"
    config.write_text(yaml.safe_dump({"INHERIT": "../mkdocs.yml", "nav": navigation(pages)}), encoding="utf-8")
    command: list[str | Path] = [ROOT / ".venv-docs" / "bin" / "mkdocs", "build", "--strict", "--config-file", config]
    # Not --quiet: what strict counts are the warnings that are shown.
    done = subprocess.run(command, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, check=False)
    if done.returncode:
        sys.exit(1)
    print(f"site/index.html and {len(pages) - 1} more pages")


def linked_files(root: Path) -> Iterator[PurePosixPath]:
    """README.md, then every file that its links and theirs lead to, relative to `root`, each once."""
    found = {FIRST_PAGE: None}
    waiting = [FIRST_PAGE]
    while waiting:
        page = waiting.pop(0)
        yield page
        if page.suffix != ".md":
            continue
        for link in links_of((root / page).read_text(encoding="utf-8")):
            target = resolved(page, link)
            if target not in found and (root / target).is_file():
                found[target] = None
                waiting.append(target)


def links_of(text: str) -> list[str]:
    """The links of a page to files and headings of the repository, as they are written, outside of code."""
    return [link for link in _LINK.findall(CODE.sub("", text)) if "://" not in link and not link.startswith("mailto:")]


def resolved(page: PurePosixPath, link: str) -> PurePosixPath:
    """The file of a link, relative to the repository; the page itself for a link to one of its headings."""
    path = link.partition("#")[0]
    if not path:
        return page
    parts: list[str] = []
    for part in (page.parent / path).parts:
        if part == ".." and parts:
            parts.pop()
        else:
            parts.append(part)
    return PurePosixPath(*parts)


def navigation(pages: Sequence[str]) -> list[dict[str, str | list[str]]]:
    """What mkdocs shows at the side: the sections, and in the last one what none of them names."""
    known = [page for section in SECTIONS.values() for page in section]
    more = [page for page in pages if page not in (*known, str(FIRST_PAGE))]
    shown: list[dict[str, str | list[str]]] = [{"Start": str(FIRST_PAGE)}]
    for name, section in {**SECTIONS, "More": more}.items():
        if there := [page for page in section if page in pages]:
            shown.append({name: there})
    return shown


if __name__ == "__main__":
    main()
