"""The house rules that a machine can hold: what PURE means, what modules are called and say, and that lint-imports sees all.

Who imports whom is in pyproject.toml ([tool.importlinter]); `make lint` holds it. Each rule here goes over every module and
reports all violations at once. A rule that finds nothing to look at fails.
"""

import ast
import dataclasses
import re
import subprocess
import sys
import tomllib
from enum import Enum
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, get_origin

import pytest

from extract_process import venues
from extract_process.venues import venue_named, venue_names
from tickhouse_core.datasets import CHANNELS, DATASETS

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"
PACKAGES = sorted(path.name for path in SOURCE.iterdir() if path.is_dir() and any(path.rglob("*.py")))
IMPORT_RULES: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
RECORDER_RULE = "Inside the recorder imports go downwards"
VENUE_RULE = "Inside the venue layer imports go downwards, and venues do not know each other"
CATALOGUE_RULE = "Inside the catalogue imports go downwards"
SIMULATOR_RULE = "Inside the simulator imports go downwards, and its venues do not know each other"
IMPURE = {
    *("asyncio", "concurrent", "multiprocessing", "queue", "signal", "subprocess", "threading"),
    *("fcntl", "io", "logging", "mmap", "os", "pathlib", "shutil", "sys", "tempfile"),
    *("aiohttp", "httpx", "select", "socket", "ssl", "starlette", "uvicorn", "websockets"),
    *("boto3", "botocore", "chdb", "clickhouse_connect", "google", "moto", "obstore"),
    *("random", "secrets", "time", "uuid"),
}
CLOCKS = {"now", "utcnow", "today", "now_us", "monotonic", "time_ns", "perf_counter"}
TIMESTAMPS = "tickhouse_core.timestamps"
"""It has one clock, `now_us`, which is among CLOCKS; the rest of it is arithmetic."""

UNSAYING = {"utils", "util", "common", "helpers", "helper", "base", "manager", "misc"}


@cache
def modules() -> dict[str, Path]:
    """Every module of ours by its full name."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    assert len(found) > len(PACKAGES) > 1, "no module is looked at"
    return found


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text(encoding="utf-8"))


def docstring_of(module: str) -> str:
    return ast.get_docstring(tree_of(module)) or ""


@cache
def pure_modules() -> list[str]:
    found = [module for module in modules() if docstring_of(module).startswith("PURE.")]
    assert found, "no module is looked at"
    return found


def imported(tree: ast.Module) -> set[tuple[str, str]]:
    """What a file imports anywhere: a module, and the name that is taken from it, or ""."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {(alias.name, "") for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {(node.module or ".", alias.name) for alias in node.names}
    return found


def impurities(tree: ast.Module) -> set[str]:
    """What a PURE module must not have: the forbidden imports and calls of a clock."""
    wrong = {module for module, _ in imported(tree) if module.split(".")[0] in IMPURE}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
            wrong |= {name} & {*CLOCKS, "open", "print", "input"}
    return wrong


def ours_in(tree: ast.Module) -> set[tuple[str, str]]:
    """The imports of our own modules: (module, name), with a module that is taken from its package as (module, "")."""
    ours = {pair for pair in imported(tree) if pair[0].split(".")[0] in PACKAGES}
    return {(f"{module}.{name}", "") if f"{module}.{name}" in modules() else (module, name) for module, name in ours}


@cache
def is_still(module: str) -> bool:
    """Neither the module nor anything of ours that it imports touches the world or reads a clock."""
    if module == TIMESTAMPS:
        return True
    tree = tree_of(module)
    return not impurities(tree) and all(is_still(further) for further, _ in ours_in(tree) if further != module)


def is_a_value(taken: object) -> bool:
    """A constant, or a class that only holds values or says what somebody must have."""
    if get_origin(taken) is not None:
        return True  # the alias of a type
    if isinstance(taken, type):
        holds_values = dataclasses.is_dataclass(taken) or hasattr(taken, "_fields")
        return holds_values or issubclass(taken, Enum | Exception) or Protocol in taken.__mro__
    return not callable(taken)


def behaviour_taken(tree: ast.Module) -> set[str]:
    """What a PURE module must not take: a function or a working class of a module of ours that touches the world."""
    restless = {(module, name) for module, name in ours_in(tree) if not is_still(module)}
    return {
        f"{module}.{name}".rstrip(".")
        for module, name in restless
        if not name or not is_a_value(getattr(import_module(module), name))
    }


def venue_folders() -> dict[str, str]:
    """Each venue of the registry, with the package that it lives in."""
    folders = {}
    for name in venue_names():
        venue = venue_named(name)
        (home,) = {
            module
            for module, loaded in sys.modules.items()
            if module.split(".")[0] in PACKAGES and getattr(loaded, "VENUE", None) is venue
        }
        folders[name] = home if modules()[home].name == "__init__.py" else home.rpartition(".")[0]
    assert len(folders) > 1, "no venue is looked at"
    return folders


def nothing_found(found: dict[str, set[str]]) -> None:
    """All violations in one message; pytest would cut a comparison of long dicts."""
    wrong = [f"{module}: {', '.join(sorted(words))}" for module, words in found.items() if words]
    assert not wrong, "\n".join(wrong)


def import_rule(name: str) -> dict[str, Any]:
    (rule,) = [rule for rule in IMPORT_RULES["contracts"] if rule["name"] == name]
    return dict(rule)


def layers_of(name: str) -> list[str]:
    return [part for layer in import_rule(name)["layers"] for part in layer.split(" | ")]


def test_every_package_has_its_layer() -> None:
    layers = set(layers_of("Imports go downwards only"))
    assert (layers, set(IMPORT_RULES["root_packages"])) == (set(PACKAGES), set(PACKAGES))


def test_every_venues_folder_is_protected() -> None:
    assert set(import_rule("Nobody outside a venue's folder imports it")["protected_modules"]) == set(venue_folders().values())


def test_every_part_of_the_recorder_has_its_layer() -> None:
    parts = {module.split(".")[1] for module in modules() if module.startswith("extract_process.")}
    assert set(layers_of(RECORDER_RULE)) == parts
    assert len(parts) > 10


@pytest.mark.parametrize(
    ("module", "source", "broken"),
    [
        ("tickhouse_core.wrong", "from load_process import right", "Imports go downwards only BROKEN"),
        ("load_process.wrong", "import extract_process.right", "Imports go downwards only BROKEN"),
        ("load_process.wrong", "def f():\n    from tickhouse import right", "Imports go downwards only BROKEN"),
        ("extract_process.wrong", "from VENUE import right", "Nobody outside a venue's folder imports it BROKEN"),
        ("OTHER.wrong", "from VENUE import right", "Nobody outside a venue's folder imports it BROKEN"),
        ("VENUE.wrong", "from VENUE import right", "Contracts: 6 kept, 0 broken."),
        ("tickhouse.wrong", "import load_process.right, tickhouse_core.right", "Contracts: 6 kept, 0 broken."),
        ("extract_process.book.wrong", "from extract_process.feed import right", f"{RECORDER_RULE} BROKEN"),
        ("extract_process.venues.api.wrong", "from VENUE import right", f"{VENUE_RULE} BROKEN"),
        ("OTHER.wrong", "from VENUE import right", f"{VENUE_RULE} BROKEN"),
        ("extract_process.venues.unheard_of", "", f"{VENUE_RULE} BROKEN"),
        ("tickhouse.catalog.listing.wrong", "from tickhouse.catalog.update import right", f"{CATALOGUE_RULE} BROKEN"),
        ("simulated_exchange.market.wrong", "from simulated_exchange.server import right", f"{SIMULATOR_RULE} BROKEN"),
        ("simulated_exchange.kucoin.wrong", "from simulated_exchange.binance import right", f"{SIMULATOR_RULE} BROKEN"),
    ],
)
def test_the_rules_on_imports_see_what_they_forbid(module: str, source: str, broken: str, tmp_path: Path) -> None:
    one, other = list(venue_folders().values())[:2]
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text(encoding="utf-8"), encoding="utf-8")
    layers = set(layers_of(SIMULATOR_RULE))
    for rule in (VENUE_RULE, RECORDER_RULE, CATALOGUE_RULE):
        (layered,) = import_rule(rule)["containers"]
        layers |= {f"{layered}.{name}" for name in layers_of(rule)}
    for package in {*PACKAGES, *venue_folders().values(), *layers}:
        folder = tmp_path.joinpath("src", *package.split("."))
        for level in [folder, *folder.parents][: package.count(".") + 1]:
            level.mkdir(parents=True, exist_ok=True)
            (level / "__init__.py").touch()
        if package != venues.__name__:  # its rule wants every child to have a layer
            (folder / "right.py").touch()
    wrong = tmp_path.joinpath("src", *module.replace("VENUE", one).replace("OTHER", other).split(".")).with_suffix(".py")
    wrong.write_text(source.replace("VENUE", one), encoding="utf-8")
    ran = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        env={"PYTHONPATH": str(tmp_path / "src"), "COLUMNS": "200"},
    )
    assert broken in ran.stdout, ran.stdout + ran.stderr
    assert ran.returncode == ("BROKEN" in broken)


def test_a_pure_module_touches_nothing_and_reads_no_clock() -> None:
    found = {module: impurities(tree_of(module)) for module in pure_modules()}
    nothing_found(found)


def test_a_pure_module_takes_behaviour_only_from_what_touches_nothing() -> None:
    found = {module: behaviour_taken(tree_of(module)) for module in pure_modules()}
    nothing_found(found)


def lists_of_datasets(tree: ast.Module) -> set[str]:
    """Literal collections that name most of the datasets, or every channel."""
    named = {dataset.name.upper() for dataset in DATASETS}
    found = set()
    for node in [node for node in ast.walk(tree) if isinstance(node, ast.Dict | ast.List | ast.Set | ast.Tuple)]:
        elements = node.keys if isinstance(node, ast.Dict) else node.elts
        names = {getattr(element, "value", None) or getattr(element, "id", "") for element in elements}
        if len({str(name).upper() for name in names} & named) > len(DATASETS) / 2 or names >= set(CHANNELS):
            found.add(f"line {node.lineno}")
    return found


def test_datasets_and_channels_are_listed_in_the_catalogue_only() -> None:
    found = {module: lists_of_datasets(tree_of(module)) for module in modules()}
    assert found.pop("tickhouse_core.datasets")
    of_one_purpose = {"load_process.supersession", "tickhouse.export.command", "tickhouse.export.job"}
    """What gold is made of, and what a format of the export can hold: another dataset belongs there only on purpose."""
    nothing_found({module: lists for module, lists in found.items() if module not in of_one_purpose})


def test_what_decides_is_pure() -> None:
    """A rule on nothing holds: these lose the word only on purpose."""
    names = {module.rpartition(".")[2] for module in pure_modules()}
    assert {"sync", "sequence", "mirror_book", "catalog", "value_checksum"} <= names
    assert len(names) > 40


def test_a_module_says_in_one_to_six_lines_what_lives_there() -> None:
    lines = {module: len(docstring_of(module).splitlines()) for module in modules()}
    lines.pop("tickhouse_core.errors")  # its docstring is the tree of the errors
    nothing_found({module: set() if 1 <= count <= 6 else {f"{count} lines"} for module, count in lines.items()})


def test_no_module_or_class_has_a_name_that_says_nothing() -> None:
    found = {}
    for module in modules():
        classes = {node.name for node in ast.walk(tree_of(module)) if isinstance(node, ast.ClassDef)}
        words = {word.lower() for name in classes for word in re.findall(r"[A-Z]+[a-z]*|[a-z]+", name)}
        found[module] = (words | set(re.split(r"[._]", module))) & UNSAYING
    nothing_found(found)


def test_no_decision_hangs_on_a_venues_name() -> None:
    folders = venue_folders()
    neutral = [
        module
        for module in modules()
        if module.split(".")[0] in ("extract_process", "load_process")
        and not any(f"{module}.".startswith(f"{folder}.") for folder in folders.values())
        and module != venues.__name__
    ]
    assert {module.split(".")[0] for module in neutral} == {"extract_process", "load_process"}
    found = {
        module: {str(node.value) for node in ast.walk(tree_of(module)) if isinstance(node, ast.Constant)} & set(folders)
        for module in neutral
    }
    nothing_found(found)


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ("import asyncio.queues", {"asyncio.queues"}),
        ("from os import environ", {"os"}),
        ("x = datetime.now()", {"now"}),
        ("from tickhouse_core.timestamps import now_us\nx = now_us()", {"now_us"}),
        ("def f():\n    from pathlib import Path", {"pathlib"}),
        ("x = open('x').read()", {"open"}),
        ("from datetime import datetime\nx = datetime(2024, 1, 1)", set()),
    ],
)
def test_the_rule_on_purity_sees_what_it_forbids(source: str, wrong: set[str]) -> None:
    assert impurities(ast.parse(source)) == wrong


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ("from tickhouse_core.aws import s3_client", {"tickhouse_core.aws.s3_client"}),
        ("from tickhouse_core.message_queue import SqsQueue", {"tickhouse_core.message_queue.SqsQueue"}),
        ("from tickhouse_core import message_queue", {"tickhouse_core.message_queue"}),
        ("import tickhouse_core.aws", {"tickhouse_core.aws"}),
        ("from tickhouse_core.message_queue import Message, MOST_PER_REQUEST", set()),
        ("from tickhouse_core.errors import LakeUnavailable", set()),
        ("from tickhouse_core.timestamps import parse_instant", set()),
        ("import json", set()),
    ],
)
def test_the_rule_on_what_a_pure_module_takes_sees_what_it_forbids(source: str, wrong: set[str]) -> None:
    assert behaviour_taken(ast.parse(source)) == wrong


ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


def test_the_architecture_fits_on_two_pages() -> None:
    lines = ARCHITECTURE.splitlines()
    assert len(lines) <= 125
    assert [line for line in lines if len(line) > 130] == []


def test_where_to_change_what_names_files_that_have_it() -> None:
    """`| what | file | a name in it |`: the name is defined there, or is a key or an id of it."""
    table = ARCHITECTURE.partition("## Where to change what")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.+?) \| `(.+?)` \| `(.+?)` \|$", table, re.MULTILINE)
    assert len(rows) == table.count("\n| ") - 1  # without the header
    assert {"the ledger", "Parquet compression", "a venue's weights", "retries of an upload"} <= {what for what, _, _ in rows}
    defined = r'^(?:class |def |const )?{0}\b[ :=(\[]|id="{0}"'
    wrong = {
        file: {name}
        for _, file, name in rows
        if not (ROOT / file).is_file()
        or not re.search(defined.format(name), (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
    }
    nothing_found(wrong)


def test_every_module_that_the_architecture_names_is_there() -> None:
    named = {name for name in re.findall(r"`((?:\w+/)+\w+)(?:\.py)?`", ARCHITECTURE) if not name.startswith("tests/")}
    assert len(named) > 15
    files = {str(path.relative_to(SOURCE).with_suffix("")) for path in modules().values()}
    assert {name for name in named if not any(f"/{file}".endswith(f"/{name.removeprefix('src/')}") for file in files)} == set()
