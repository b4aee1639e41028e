"""GET through obstore (Rust's object_store): a fifth of boto3's CPU time for a small object, and other threads run meanwhile."""

import logging
import re
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

import boto3
import obstore
from obstore.auth.boto3 import Boto3CredentialProvider
from obstore.exceptions import BaseError
from obstore.store import S3Store

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

log = logging.getLogger(__name__)

_NAME = "[A-Za-z0-9=_-][A-Za-z0-9=._-]*"
_PLAIN = re.compile(f"{_NAME}(/{_NAME})*")
"""Keys that object_store sends as they are. From others it would take slashes and dots, or encode them in its own way."""

_CREDENTIALS_LIVE = timedelta(minutes=5)
"""Shorter than the ten minutes that botocore's credentials are still good for when it hands them out."""


class QuickGet:
    """Whole objects of one bucket, with the endpoint, region and credentials of a boto3 client. Thread-safe.

    Whatever goes wrong is None: boto3 is asked then, which tries again and whose errors have a meaning to us.
    """

    def __init__(self, bucket: str, client: "S3Client") -> None:
        self._bucket = bucket
        self._client = client

    def get(self, key: str, most_bytes: int | None) -> tuple[str, bytes] | None:
        """The etag as S3 says it, and the bytes; None also for more than `most_bytes`."""
        if not _PLAIN.fullmatch(key):
            return None
        try:
            found = obstore.get(self._store, key)
            etag = found.meta["e_tag"]
            if etag is None or (most_bytes is not None and found.meta["size"] > most_bytes):
                return None
            return etag, found.bytes().to_bytes()
        except (BaseError, FileNotFoundError, ValueError) as error:
            why = str(error)
        except BaseException as error:
            # A panic of Rust code, for a key of 65,000 characters for one, is no Exception and would end the process.
            if type(error).__module__ != "pyo3_runtime":
                raise
            why = f"the client panicked: {error}"
        log.debug("asking boto3 instead", extra={"bucket": self._bucket, "key": key[:1_024], "why": why.partition("\n")[0]})
        return None

    @cached_property
    def _store(self) -> S3Store:
        return S3Store(
            self._bucket,
            endpoint=self._client.meta.endpoint_url,
            region=self._client.meta.region_name,
            virtual_hosted_style_request=False,
            credential_provider=Boto3CredentialProvider(boto3.Session(), ttl=_CREDENTIALS_LIVE),
            client_options={"allow_http": True, "connect_timeout": "5s", "read_timeout": "30s", "timeout": "1h"},
            retry_config={"max_retries": 0},
        )
