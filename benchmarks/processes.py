"""What benchmarks start beside themselves, each in a process of its own, and what a process costs (Linux: /proc)."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tickhouse.embedded import environment_variables

_MOTO = """
import logging, sys; logging.getLogger('werkzeug').setLevel('ERROR')
from moto.server import ThreadedMotoServer as Server; server = Server(ip_address='127.0.0.1', port=0, verbose=False)
server.start(); print(server.get_host_and_port()[1], flush=True); sys.stdin.read(); server.stop()
"""


@contextmanager
def moto_server() -> Iterator[int]:
    """S3 and SQS; the environment names them. Yields the process's id."""
    with subprocess.Popen([sys.executable, "-c", _MOTO], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}
        with environment_variables(keys | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{int(process.stdout.readline())}"}):
            try:
                yield process.pid
            finally:
                process.communicate()


@contextmanager
def exchange(*words: str) -> Iterator[str]:
    """The simulated exchange; the environment names it. Yields its URL."""
    command = [sys.executable, "-m", "simulated_exchange", "--port", "0", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://[0-9.:]+", process.stdout.readline())
            assert found is not None, "the exchange names its address"
            url = found[0]
            addresses = dict.fromkeys(("BINANCE_REST_URL", "BINANCE_ARCHIVE_URL"), url)
            with environment_variables(addresses | {"BINANCE_WS_URL": url.replace("http", "ws")}):
                yield url
        finally:
            process.terminate()


def symbols_of(url: str) -> list[str]:
    """The exchange's symbols."""
    return [item["symbol"] for item in httpx.get(f"{url}/api/v3/exchangeInfo", timeout=60).json()["symbols"]]


def cpu_seconds(pid: int) -> float:
    """User and system, all threads; children that it waited for too."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int, *, most: bool = False) -> int:
    """Memory now, or the most there ever was."""
    name = "VmHWM:" if most else "VmRSS:"
    return int(Path(f"/proc/{pid}/status").read_text().partition(name)[2].split()[0]) // 1024


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
