"""Runs the commands under "Verify" in docs/docker.md word for word, and knows what each must say."""

import os
import re
import shutil
import tempfile
from pathlib import Path

from integration_tests.compose.accounts import expect
from integration_tests.compose.stack import ROOT, CheckFailed, Stack, finish

EXPECTED = {
    "s3 ls s3://crypto/quarantine": r"btcusd/test\.parquet\.reason\.json",
    "s3 ls s3://crypto": r"PRE data_sources/",
    "sqs list-queues": r"klines-notifications-dlq",
    "sqs get-queue-url": r"/klines-notifications\"",
    "get-bucket-notification-configuration": r"\"Id\": \"klines-parquet-notification\"",
    "s3 cp": r"^",
    "s3 rm": r"^delete: ",
    "sqs receive-message": r"klines_pricing/btcusd/test\.parquet",
    "docker compose stop loader": r"^",
    "docker compose start loader": r"^",
    "clickhouse-client": r"(?m)^[1-9]\d*$",
    "localhost:8123": r"(?m)^\d+\t",
    "localhost:9001": r"\b200\b",
    "tickhouse audit": r"\bok\b",
}
"""What is in a command -> what is in its output; the first that fits counts."""

PATIENCE_SECONDS = 60.0
_EXPORT = re.compile(r"export (.+)")


def commands() -> list[str]:
    """The lines of the block, without their remarks."""
    section = (ROOT / "docs" / "docker.md").read_text(encoding="utf-8").partition("\n### Verify\n")[2].partition("\n## ")[0]
    lines = [line.strip() for line in section.splitlines() if line.startswith("    ")]
    return [re.sub(r"\s{2,}# .*$", "", line) for line in lines]


def expectation(command: str) -> str:
    """Raises CheckFailed for a command nobody said anything about."""
    for part, pattern in EXPECTED.items():
        if part in command:
            return pattern
    raise CheckFailed(f"no expectation for this command of docs/docker.md: {command}")


def run_verify_commands(stack: Stack) -> None:
    """Each until it says what it must, for at most a minute: what it looks at takes its time to arrive."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**stack.environment, **_path_with_aws(Path(folder))}
        for command in commands():
            exported = _EXPORT.fullmatch(command)
            if exported:
                environment |= dict(pair.split("=", 1) for pair in exported[1].split())
                continue
            _run(stack, command, environment)


def _run(stack: Stack, command: str, environment: dict[str, str]) -> None:
    pattern, said = expectation(command), ""

    def says_it() -> bool:
        nonlocal said
        done = finish(["bash", "-c", command], environment, 120)
        said = done.stdout + done.stderr
        return done.returncode == 0 and re.search(pattern, done.stdout) is not None

    try:
        stack.wait_for(command, says_it, PATIENCE_SECONDS)
    except CheckFailed as error:
        raise CheckFailed(f"{command}\nshould say {pattern!r} and says:\n{said[-1500:]}") from error
    expect(True, command)


def _path_with_aws(folder: Path) -> dict[str, str]:
    """Where the AWS CLI is not installed, the one inside the LocalStack container stands in under the same name."""
    if shutil.which("aws"):
        return {}
    program = folder / "aws"
    names = "AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_DEFAULT_REGION"
    passed = " ".join(f"--env {name}" for name in names.split())
    program.write_text(f'#!/bin/sh\nexec docker compose exec -T {passed} localstack aws "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}
