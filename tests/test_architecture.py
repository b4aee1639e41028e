"""The house rules that a machine can hold: who imports whom, what PURE means, what modules are called and say."""

import ast
import re
from pathlib import Path

import pytest

from extract_process.venues import venue_names

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"
MODULES = sorted(SOURCE.rglob("*.py"))
FLOOR_OF = {
    "tickhouse_core": 0,
    "extract_process": 1,
    "load_process": 1,
    "transform_process": 1,
    "status_page": 1,
    "simulated_exchange": 1,
    "tickhouse": 2,
}
IMPURE = {"asyncio", "httpx", "websockets", "boto3", "botocore", "clickhouse_connect", "time", "os", "random"}
CLOCKS = {"now", "utcnow", "today", "now_us", "monotonic", "time_ns", "perf_counter"}
UNSAYING = {"utils", "util", "common", "helpers", "helper", "base", "manager", "misc"}
VARIABLES = [
    *("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "S3_BUCKET"),
    *("CLICKHOUSE_HOST", "CLICKHOUSE_PORT", "CLICKHOUSE_USERNAME", "CLICKHOUSE_PASSWORD", "CLICKHOUSE_DATABASE"),
    *("CLICKHOUSE_PATH", "BINANCE_REST_URL", "BINANCE_WS_URL", "BINANCE_ARCHIVE_URL", "SPOOL_DIR", "LOG_LEVEL", "LOG_FORMAT"),
    "KUCOIN_REST_URL",
    *("RETENTION_BRONZE_DAYS", "RETENTION_QUARANTINE_DAYS"),
    *("GOOGLE_CLOUD_PROJECT", "PUBSUB_EMULATOR_HOST", "LAKE_COPY_DIR"),
    *("METRICS_PORT", "METRICS_HOST", "STATUS_HOST", "STATUS_PORT", "STATUS_TARGETS", "STATUS_USERNAME", "STATUS_PASSWORD"),
]


def name_of(path: Path) -> str:
    return str(path.relative_to(SOURCE))


def imported(tree: ast.Module) -> set[str]:
    """Every module a file imports anywhere, by its full name."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add("." * node.level + (node.module or ""))
    return found


def violations(package: str, tree: ast.Module) -> set[str]:
    """Imports that go sideways or up."""
    wrong = set()
    for module in imported(tree):
        top = module.split(".")[0]
        is_ours = top in FLOOR_OF and top != package
        if module.startswith(".") or (is_ours and FLOOR_OF[top] >= FLOOR_OF[package]):
            wrong.add(module)
    return wrong


def impurities(tree: ast.Module) -> set[str]:
    """What a PURE module must not have: the forbidden imports and calls of a clock."""
    wrong = {module for module in imported(tree) if module.split(".")[0] in IMPURE}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
            wrong |= {name} & CLOCKS
    return wrong


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def is_pure(path: Path) -> bool:
    return (ast.get_docstring(parse(path)) or "").startswith("PURE.")


def test_every_package_has_its_floor() -> None:
    assert {path.name for path in SOURCE.iterdir() if path.is_dir() and any(path.glob("*.py"))} <= set(FLOOR_OF)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_downwards_only(path: Path) -> None:
    assert violations(path.relative_to(SOURCE).parts[0], parse(path)) == set()


@pytest.mark.parametrize("path", [path for path in MODULES if is_pure(path)], ids=name_of)
def test_a_pure_module_touches_nothing_and_reads_no_clock(path: Path) -> None:
    assert impurities(parse(path)) == set()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_says_in_one_to_six_lines_what_lives_there(path: Path) -> None:
    docstring = ast.get_docstring(parse(path))
    assert docstring
    if path.name != "errors.py":  # its docstring is the tree of the errors
        assert 1 <= len(docstring.splitlines()) <= 6


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_module_or_class_has_a_name_that_says_nothing(path: Path) -> None:
    classes = {node.name for node in ast.walk(parse(path)) if isinstance(node, ast.ClassDef)}
    words = {word.lower() for name in classes for word in re.findall(r"[A-Z]+[a-z]*|[a-z]+", name)}
    words |= {part for piece in path.relative_to(SOURCE).with_suffix("").parts for part in piece.split("_")}
    assert words & UNSAYING == set()


def test_the_modules_that_decide_are_pure() -> None:
    pure = {name_of(path) for path in MODULES if is_pure(path)}
    assert pure >= {
        "tickhouse/answers.py",
        "tickhouse_core/lake_keys.py",
        "extract_process/accounted_ids.py",
        "extract_process/binance/frames.py",
        "extract_process/binance/messages.py",
        "extract_process/binance/streams.py",
        "extract_process/book_comparison.py",
        "extract_process/book_proof.py",
        "extract_process/book_sync.py",
        "extract_process/decimal_text.py",
        "extract_process/depth_watch.py",
        "extract_process/dialect.py",
        "extract_process/event_budget.py",
        "extract_process/first_messages.py",
        "extract_process/id_continuity.py",
        "extract_process/judge.py",
        "extract_process/kucoin/frames.py",
        "extract_process/kucoin/intervals.py",
        "extract_process/kucoin/messages.py",
        "extract_process/kucoin/pool_budget.py",
        "extract_process/kucoin/topics.py",
        "extract_process/kline_grid.py",
        "extract_process/kline_plan.py",
        "extract_process/micro_batch.py",
        "extract_process/mirror_book.py",
        "extract_process/mirror_messages.py",
        "extract_process/mirror_options.py",
        "extract_process/mirrored_book.py",
        "extract_process/order_book.py",
        "extract_process/price_texts.py",
        "extract_process/publish_backlog.py",
        "extract_process/reconnect_delay.py",
        "extract_process/rest_answers.py",
        "extract_process/row_batches.py",
        "extract_process/spool_room.py",
        "extract_process/stream_key.py",
        "extract_process/stream_options.py",
        "extract_process/top_view.py",
        "extract_process/weight_budget.py",
        "load_process/notifications.py",
        "status_page/candles.py",
        "status_page/verdicts.py",
        "transform_process/catalog.py",
        "transform_process/cluster_ddl.py",
        "transform_process/window.py",
    }


VENUE_FOLDERS = sorted(path.parent.name for path in SOURCE.glob("extract_process/*/venue.py"))


def test_every_venue_folder_is_a_line_of_the_registry() -> None:
    assert sorted(venue_names()) == VENUE_FOLDERS


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nobody_outside_a_venues_folder_knows_it(path: Path) -> None:
    folder = path.parent.name if path.parent.parent.name == "extract_process" else ""
    others = {f"extract_process.{name}" for name in VENUE_FOLDERS if name != folder}
    assert {
        module for module in imported(parse(path)) if any((module + ".").startswith(other + ".") for other in others)
    } == set()


@pytest.mark.parametrize(
    "path", [path for path in MODULES if path.parent.name in ("extract_process", "load_process")], ids=name_of
)
def test_no_decision_hangs_on_a_venues_name(path: Path) -> None:
    words = {node.value for node in ast.walk(parse(path)) if isinstance(node, ast.Constant)} & set(VENUE_FOLDERS)
    assert words == set() or path.name == "venues.py"


@pytest.mark.parametrize(
    ("package", "source", "wrong"),
    [
        ("tickhouse_core", "from load_process import loader", {"load_process"}),
        ("load_process", "import extract_process.records", {"extract_process.records"}),
        ("load_process", "def f():\n    from tickhouse import cli", {"tickhouse"}),
        ("load_process", "from . import ledger", {"."}),
        ("load_process", "from tickhouse_core import errors\nimport load_process.ledger", set()),
        ("tickhouse", "import load_process, tickhouse_core.errors", set()),
    ],
)
def test_the_rule_on_imports_sees_what_it_forbids(package: str, source: str, wrong: set[str]) -> None:
    assert violations(package, ast.parse(source)) == wrong


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ("import asyncio.queues", {"asyncio.queues"}),
        ("from os import environ", {"os"}),
        ("x = datetime.now()", {"now"}),
        ("from tickhouse_core.timestamps import now_us\nx = now_us()", {"now_us"}),
        ("from datetime import datetime\nx = datetime(2024, 1, 1)", set()),
    ],
)
def test_the_rule_on_purity_sees_what_it_forbids(source: str, wrong: set[str]) -> None:
    assert impurities(ast.parse(source)) == wrong


def test_the_example_environment_names_every_variable() -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    named = set(re.findall(r"^#?\s*([A-Z][A-Z0-9_]+)=", example, flags=re.MULTILINE))
    assert [variable for variable in VARIABLES if variable not in named] == []
