"""S3, SQS and ClickHouse inside this process, with the environment pointing at them: what demo and laptop runs stand on."""

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tickhouse_core.errors import UsageError
from tickhouse_core.settings import LakeSettings, read


@contextmanager
def embedded_parts(folder: Path) -> Iterator[None]:
    """Runs moto's S3 and SQS on a free port of loopback and keeps the engine's data and the spool in `folder`.

    S3 and SQS forget in the end; every object is in <folder>/lake/<bucket> too, and LakeKeeper can put it back.

    The environment of this process is changed for as long as the context lasts. Raises UsageError where the
    extra `embedded` is not installed.
    """
    try:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import make_server
    except ImportError as error:
        raise UsageError("moto is not installed: install the extra `embedded`, or run `make setup`") from error
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True)
    thread = threading.Thread(target=server.serve_forever, name="moto", daemon=True)
    thread.start()
    environment = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.port}",
        "AWS_ACCESS_KEY_ID": "embedded",
        "AWS_SECRET_ACCESS_KEY": "embedded",
        "AWS_DEFAULT_REGION": "us-east-1",
        "LAKE_COPY_DIR": str(folder / "lake" / read(LakeSettings).bucket),
        "CLICKHOUSE_PATH": str(folder / "warehouse"),
        "SPOOL_DIR": str(folder / "spool"),
    }
    try:
        with environment_variables(environment):
            yield
    finally:
        server.shutdown()
        thread.join()


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
