"""Stack: the services of docker-compose.yml as one thing: commands, questions to ClickHouse over HTTP, waiting. Stdlib only."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def patience(seconds: float) -> float:
    """A busy machine gets longer."""
    return seconds * min(5.0, max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)))


class CheckFailed(Exception):
    """What was found, in words for people."""


class Stack:
    """One Compose project with its profiles. Its variables overrule the shell's and those of .env."""

    def __init__(self, project: str, profiles: tuple[str, ...], variables: dict[str, str]) -> None:
        options = [word for profile in profiles for word in ("--profile", profile)]
        self._compose = ["docker", "compose", "--project-name", project, *options]
        ours = {"COMPOSE_PROFILES": "", "COMPOSE_PROJECT_NAME": project, "COMPOSE_ENV_FILES": "/dev/null"}
        self.environment = {**os.environ, **ours, **variables}
        self._account = (variables["CLICKHOUSE_USERNAME"], variables["CLICKHOUSE_PASSWORD"])

    def compose(self, *words: str, timeout: float = 600.0) -> str:
        """Output of `docker compose …`; CheckFailed with the end of what it said if it failed."""
        return self.run([*self._compose, *words], timeout)

    def run(self, command: list[str], timeout: float = 600.0) -> str:
        done = finish(command, self.environment, timeout)
        if done.returncode:
            raise CheckFailed(f"{' '.join(command)} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}")
        return done.stdout

    def execute(self, service: str, *command: str, timeout: float = 120.0) -> str:
        """A command inside a running service."""
        return self.compose("exec", "-T", service, *command, timeout=timeout)

    def kill(self, service: str) -> None:
        """kill -9 of everything in the container but its init, which then ends too, as after an out-of-memory kill."""
        before = self.started_at(service)
        kill = [*self._compose, "exec", "-T", service, "sh", "-c", "kill -9 -1"]
        finish(kill, self.environment, 30)  # how it ends says nothing: its own shell is being killed
        self.wait_for(f"{service} is started again after kill -9", lambda: self.started_at(service) != before)

    def started_at(self, service: str) -> str:
        container = self.compose("ps", "--all", "--quiet", service).split()[0]
        return self.run(["docker", "inspect", "--format", "{{.State.StartedAt}}", container]).strip()

    def services(self) -> dict[str, dict[str, Any]]:
        """What `docker compose ps` knows, by service."""
        lines = self.compose("ps", "--all", "--format", "json").splitlines()
        found = [json.loads(line) for line in lines if line.strip()]
        return {row["Service"]: row for entry in found for row in (entry if isinstance(entry, list) else [entry])}

    def is_well(self, *done: str) -> bool:
        """All run, those with a health check are healthy, and those in `done` have ended with 0."""
        for name, row in self.services().items():
            if name in done and row["State"] == "exited" and row["ExitCode"] == 0:
                continue
            if row["State"] != "running" or row["Health"] not in ("", "healthy"):
                return False
        return True

    def query(self, sql: str) -> list[list[Any]]:
        """Rows of a select, over HTTP; numbers wider than 32 bits come as text."""
        user, password = self._account
        port = self.environment["CLICKHOUSE_HTTP_PORT"]
        request = urllib.request.Request(
            f"http://localhost:{port}/?{urllib.parse.urlencode({'database': 'crypto', 'default_format': 'JSONCompact'})}",
            sql.encode(),
            {"X-ClickHouse-User": user, "X-ClickHouse-Key": password},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                rows: list[list[Any]] = json.load(answer)["data"]
                return rows
        except urllib.error.HTTPError as error:
            raise CheckFailed(f"ClickHouse refused: {sql}\n{error.read().decode()[:500]}") from error
        except OSError as error:
            raise CheckFailed(f"ClickHouse does not answer: {error}") from error

    def number(self, sql: str) -> int:
        return int(self.query(sql)[0][0])

    def wait_for(self, what: str, is_so: Callable[[], bool], seconds: float = 120.0) -> float:
        """Seconds until it was so. A question that fails meanwhile counts as no."""
        began = time.monotonic()
        seconds = patience(seconds)
        last = ""
        while time.monotonic() - began < seconds:
            try:
                if is_so():
                    return time.monotonic() - began
                last = "it is not so"
            except CheckFailed as error:
                last = str(error)
            time.sleep(0.3)  # an outside view: there is no event to wait for
        raise CheckFailed(f"not within {seconds:.0f} s: {what} ({last})")


def finish(command: list[str], environment: dict[str, str], seconds: float) -> "subprocess.CompletedProcess[str]":
    """The command at its end; CheckFailed where it takes longer than `patience(seconds)`."""
    allowed = patience(seconds)
    try:
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=allowed, check=False)
    except subprocess.TimeoutExpired as error:
        raise CheckFailed(f"{' '.join(command)} took more than {allowed:.0f} s") from error


def say(text: str) -> None:
    """One line, at once."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def fail(error: BaseException) -> None:
    """What ended the check."""
    print(f"FAIL {error or type(error).__name__}", file=sys.stderr, flush=True)
