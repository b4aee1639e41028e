"""S3, SQS and ClickHouse inside this process, with the environment pointing at them: what demo and laptop runs stand on."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import UsageError


@contextmanager
def embedded_parts(folder: Path) -> Iterator[None]:
    """Runs moto's S3 and SQS on a free port of loopback and keeps the engine's data and the spool in `folder`.

    The environment of this process is changed for as long as the context lasts. Raises UsageError where the
    extra `embedded` is not installed.
    """
    try:
        from moto.server import ThreadedMotoServer
    except ImportError as error:
        raise UsageError("moto is not installed: install the extra `embedded`, or run `make setup`") from error
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "embedded",
        "AWS_SECRET_ACCESS_KEY": "embedded",
        "AWS_DEFAULT_REGION": "us-east-1",
        "CLICKHOUSE_PATH": str(folder / "warehouse"),
        "SPOOL_DIR": str(folder / "spool"),
    }
    try:
        with environment_variables(environment):
            yield
    finally:
        server.stop()


@contextmanager
def environment_variables(values: dict[str, str]) -> Iterator[None]:
    """Sets variables and puts the old state back."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
