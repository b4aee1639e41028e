"""Reads the commands of a Markdown page and runs them as a person would type them. Not a test."""

import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
from conftest import ROOT, free_port

SOURCES = str(ROOT / "src")
LASTING = {
    *("stream", "load", "transform", "page", "local", "mirror"),
    *(
        "extract_process.stream",
        "load_process",
        "transform_process",
        "status_page",
        "extract_process.mirror",
        "simulated_exchange",
    ),
}
"""Run until a signal, unless an option says when to end."""

ENDING = {"--duration", "--drain", "--once"}
BESIDE = {"status", "mirror-check"}
"""Ask what runs beside them."""

FINDINGS = {"checks", "transform_process.checks", "doctor", "status", "trades", "extract_process.trades"}
"""Exit 1 when they find something, which is no fault of the command: the exchange has no files of days before it began."""

PUBSUB = {"mirror", "mirror-check", "extract_process.mirror"}


OF_THE_STACK = "### Verify"
"""What `make compose-check` runs."""


def commands_of(page: Path) -> Iterator[list[str]]:
    """The words of every command: lines indented by four outside of fences, each side of `&&` on its own."""
    is_fenced = is_of_the_stack = False
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            is_fenced = not is_fenced
        elif line.startswith("#") and not is_fenced:
            is_of_the_stack = line == OF_THE_STACK
        elif line.startswith("    ") and not (is_fenced or is_of_the_stack):
            words = shlex.split(line, comments=True)
            while "&&" in words:
                place = words.index("&&")
                yield words[:place]
                words = words[place + 1 :]
            yield words


def blocks_of(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


class Shell:
    """One terminal after the other in one folder; what lasts is stopped when the next command needs its place."""

    def __init__(self, environment: dict[str, str], *, has_pubsub: bool) -> None:
        self.port = free_port()
        self._environment = {**environment, "PYTHONPATH": SOURCES, "STATUS_PORT": str(self.port)}
        self._has_pubsub = has_pubsub
        self._lasting: subprocess.Popen[bytes] | None = None
        self.ran: list[str] = []

    def run(self, words: Sequence[str]) -> None:
        """AssertionError where the command does not end as it should."""
        variables = [word for word in words if re.match(r"^[A-Z_]+=", word)]
        words = [word for word in words if word not in variables]
        if words[0] == "export":
            self.stop()
            self._export(variables)
        elif words[0] == "eval":  # eval "$(python -m … prints exports)"
            self.stop()
            printed = self._checked([sys.executable, *shlex.split(words[1][2:-1])[1:]], self._environment, (0,))
            self._export([line.removeprefix("export ") for line in printed.splitlines()])
        elif words[0] == "cp":
            shutil.copy(words[1], words[2])
        elif words[0] == "make":
            subprocess.run(["make", "-n", words[1]], cwd=ROOT, check=True, capture_output=True, timeout=30)
        elif words[0] == "docker":
            compose = Path("docker-compose.yml").read_text(encoding="utf-8")
            assert all(f"\n  {service}:" in compose for service in words[3:] if not service.startswith("-")), words
        elif words[0] == "promtool":
            if shutil.which("promtool"):
                subprocess.run(words, check=True, capture_output=True, timeout=60)
        elif words[0] != "source":
            self._run_python(words, dict(variable.split("=", 1) for variable in variables))
        self.ran.append(" ".join(words))

    def run_script(self, script: str) -> str:
        self.stop()
        return self._checked([sys.executable, "-c", script], self._environment, (0,))

    def stop(self) -> None:
        if self._lasting is not None:
            self._lasting.send_signal(signal.SIGTERM)
            assert self._lasting.wait(90) == 0, self.ran[-1]
            self._lasting = None

    def _export(self, variables: Sequence[str]) -> None:
        for name, value in (variable.split("=", 1) for variable in variables):
            assert any(name in (ROOT / page).read_text(encoding="utf-8") for page in (".env.example", "docs/settings.md"))
            if not name.startswith(("BINANCE_", "KUCOIN_", "PUBSUB_")):  # the test has an exchange and an emulator of its own
                self._environment[name] = value

    def _run_python(self, words: list[str], variables: dict[str, str]) -> None:
        words = words[2:] if words[:2] == ["poetry", "run"] else words
        assert words[0] in ("python", "tickhouse"), f"{words}: nobody knows how to run this"
        name = words[2] if words[0] == "python" else words[1]
        start = [sys.executable, "-m", "tickhouse.cli"] if words[0] == "tickhouse" else [sys.executable]
        command = [*start, *(word.replace("localhost:8080", f"localhost:{self.port}") for word in words[1:])]
        if name not in BESIDE:
            self.stop()
        if (name in PUBSUB or "--pubsub" in words) and not self._has_pubsub:
            command = [*start, *(words[1:3] if words[0] == "python" else words[1:2]), "--help"]
            self._checked(command, self._environment, (0,))
        elif (name in LASTING or "--every" in words) and not ENDING & set(words):
            self._begin(name, command, variables)
        else:
            codes = (2,) if name == "clear" else (0, 1) if name in FINDINGS else (0,)
            self._checked(command, {**self._environment, **variables}, codes)

    def _begin(self, name: str, command: list[str], variables: dict[str, str]) -> None:
        metrics = free_port()
        if name == "simulated_exchange":
            command = [*command, "--port", str(free_port())]  # the last one counts
        own = {**self._environment, **variables, "METRICS_PORT": str(metrics)}
        self._lasting = subprocess.Popen(command, env=own, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while not self._is_ready(f"http://127.0.0.1:{metrics}/readyz", name):
            assert self._lasting.poll() is None, f"{command} ended with {self._lasting.returncode}"
            assert time.monotonic() < deadline, f"{command} was not ready within two minutes"
            time.sleep(0.2)

    def _is_ready(self, url: str, name: str) -> bool:
        lake = Path("data/lake/data_sources")
        if name == "local" and not (any(lake.glob("trades/**/*.parquet")) and any(lake.glob("depth_diffs/**/*.parquet"))):
            return False
        try:
            return httpx.get(url, timeout=10).is_success
        except httpx.TransportError:
            return False

    def _checked(self, command: Sequence[str], environment: dict[str, str], codes: Sequence[int]) -> str:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=180, check=False, stdin=subprocess.DEVNULL
        )
        assert done.returncode in codes, (
            f"{' '.join(command)}: exit {done.returncode}\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}"
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done.stdout
