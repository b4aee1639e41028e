"""The etag of a file that is an object: MD5, as S3 has it, kept with the file so that it need not be read for it."""

import hashlib
import os
from functools import partial
from io import BufferedReader
from typing import BinaryIO

_ETAG = "user.tickhouse.etag"
"""An extended attribute: etag, size and modification time. It saves reading a file for its etag where the disk can hold it."""

md5 = partial(hashlib.md5, usedforsecurity=False)


def etag_of(file: BufferedReader) -> str:
    """As it was remembered with the file, if that is still the same; else read piece by piece, and remembered."""
    if (known := _remembered(file)) is not None:
        return known
    etag = hashlib.file_digest(file, md5).hexdigest()
    file.seek(0)
    remember_etag(file, etag)
    return etag


def _remembered(file: BufferedReader) -> str | None:
    try:
        said = os.getxattr(file.fileno(), _ETAG).decode()
    except (OSError, AttributeError):  # this disk or system has no such attributes
        return None
    etag, _, identity = said.partition(" ")
    return etag if identity == _identity(file) else None


def remember_etag(file: BinaryIO, etag: str) -> None:
    try:
        os.setxattr(file.fileno(), _ETAG, f"{etag} {_identity(file)}".encode())
    except (OSError, AttributeError):  # this disk or system has no such attributes: the file is read for its etag
        return


def _identity(file: BinaryIO) -> str:
    found = os.fstat(file.fileno())
    return f"{found.st_size} {found.st_mtime_ns}"
