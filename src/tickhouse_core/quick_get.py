"""GET through obstore (Rust's object_store): a fifth of boto3's CPU time for a small object, and other threads run meanwhile."""

import logging
import re
import time
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

import boto3
import obstore
from obstore.auth.boto3 import Boto3CredentialProvider
from obstore.exceptions import BaseError
from obstore.store import S3Store

from tickhouse_core.errors import LakeSilent

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

log = logging.getLogger(__name__)

_NAME = "[A-Za-z0-9=_-][A-Za-z0-9=._-]*"
_PLAIN = re.compile(f"{_NAME}(/{_NAME})*")
"""Keys that object_store sends as they are. From others it would take slashes and dots, or encode them in its own way."""

_CREDENTIALS_LIVE = timedelta(minutes=5)
"""Shorter than the ten minutes that botocore's credentials are still good for when it hands them out."""


SILENCE_SECONDS = 10.0
"""Without a byte. S3's first usually comes within 0.2 s (AWS: "Performance guidelines for Amazon S3")."""

SLOWEST_BYTES_A_SECOND = 256 * 1024
"""Of an answer as a whole, after `SILENCE_SECONDS`: one that drips holds a reader no longer than this."""


class QuickGet:
    """Whole objects of one bucket, with the endpoint, region and credentials of a boto3 client. Thread-safe.

    Whatever goes wrong soon is None: boto3 is asked then, which tries again and whose errors have a meaning to us. What took
    as long as the silence that is allowed is LakeSilent: to ask again would take five times as long.
    """

    def __init__(self, bucket: str, client: "S3Client", silence_seconds: float = SILENCE_SECONDS) -> None:
        self._bucket = bucket
        self._client = client
        self._silence_seconds = silence_seconds

    def get(self, key: str, most_bytes: int | None) -> tuple[str, bytes] | None:
        """The etag as S3 says it, and the bytes; None also for more than `most_bytes`. LakeSilent where they do not come."""
        if not _PLAIN.fullmatch(key):
            return None
        began = time.monotonic()
        try:
            found = obstore.get(self._store, key)
            etag, size = found.meta["e_tag"], found.meta["size"]
            if etag is None or (most_bytes is not None and size > most_bytes):
                return None
            return etag, self._whole(found, key, began)
        except (BaseError, FileNotFoundError, ValueError) as error:
            why = str(error)
        except BaseException as error:
            # A panic of Rust code, for a key of 65,000 characters for one, is no Exception and would end the process.
            if type(error).__module__ != "pyo3_runtime":
                raise
            why = f"the client panicked: {error}"
        if time.monotonic() - began >= self._silence_seconds:
            raise LakeSilent(f"s3://{self._bucket}/{key}: no whole answer after {time.monotonic() - began:.0f} s")
        log.debug("asking boto3 instead", extra={"bucket": self._bucket, "key": key[:1_024], "why": why.partition("\n")[0]})
        return None

    def _whole(self, found: "obstore.GetResult", key: str, began: float) -> bytes:
        """As they come in, so that a body that drips is given up and not waited for."""
        size = found.meta["size"]
        deadline = began + self._silence_seconds + size / SLOWEST_BYTES_A_SECOND
        parts: list[bytes] = []
        length = 0
        for chunk in found.stream(min_chunk_size=1):
            parts.append(chunk)
            length += len(chunk)
            if length < size and time.monotonic() > deadline:
                said = f"{length:,} of {size:,} bytes in {time.monotonic() - began:.0f} s"
                raise LakeSilent(f"s3://{self._bucket}/{key}: {said}")
        return b"".join(parts)

    @cached_property
    def _store(self) -> S3Store:
        return S3Store(
            self._bucket,
            endpoint=self._client.meta.endpoint_url,
            region=self._client.meta.region_name,
            virtual_hosted_style_request=False,
            credential_provider=Boto3CredentialProvider(boto3.Session(), ttl=_CREDENTIALS_LIVE),
            client_options={
                "allow_http": True,
                "connect_timeout": "5s",
                "read_timeout": f"{round(self._silence_seconds * 1000)}ms",
                "timeout": "1h",
            },
            retry_config={"max_retries": 0},
        )
