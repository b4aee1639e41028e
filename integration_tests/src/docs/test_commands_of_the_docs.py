"""Every command, query and program in README and docs is run: what a stranger reads is true."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from conftest import ROOT
from integration_tests.src.docs.shell import Shell, blocks_of, commands_of

from simulated_exchange.app import running_exchange
from simulated_exchange.config import ExchangeConfig

DOCS = ("cli", "pubsub", "simulator", "docker", "operations", "data-model", "troubleshooting", "recipes")
PAGES = ("README.md", *(f"docs/{name}.md" for name in DOCS))
ASK_ALL = """
from tickhouse_core.settings import WarehouseSettings, read
from tickhouse_core.warehouse import connect
warehouse = connect(read(WarehouseSettings))
for statement in {statements!r}:
    warehouse.query_table(statement)
"""


@pytest.fixture
def shell(moto_url: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """A fresh machine: nothing provisioned, nothing recorded; an exchange, S3 and SQS are in reach."""
    httpx.post(f"{moto_url}/moto-api/reset").raise_for_status()
    shutil.copytree(ROOT / "resources", tmp_path / "resources")
    for name in (".env.example", "docker-compose.yml"):
        shutil.copy(ROOT / name, tmp_path)
    try:
        request.getfixturevalue("pubsub_emulator")
        has_pubsub = True
    except pytest.skip.Exception as why:
        print(f"{why}: the mirror's commands are only asked for their help")
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", "")
        has_pubsub = False
    with running_exchange(ExchangeConfig()) as exchange:
        lake = {"AWS_ENDPOINT_URL": moto_url, "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
        shell = Shell({**os.environ, **exchange.environment, **lake, "AWS_DEFAULT_REGION": "us-east-1"}, has_pubsub=has_pubsub)
        yield shell
        shell.stop()


def statements_of(page: str) -> list[str]:
    return [part.strip() for block in blocks_of(ROOT / page, "sql") for part in block.split(";") if part.strip()]


@pytest.mark.long
def test_every_command_of_the_docs_does_what_it_says(shell: Shell) -> None:
    for page in PAGES:
        for words in commands_of(ROOT / page):
            shell.run(words)
        if statements := statements_of(page):
            shell.run_script(ASK_ALL.format(statements=statements))
        for program in blocks_of(ROOT / page, "python"):
            assert "BTCUSDT" in shell.run_script(program)
    assert len(shell.ran) > 45
