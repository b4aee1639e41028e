"""LakeCopy: every object of the lake as a file too, for a lake that forgets (LocalStack's community edition does).

A file's path is the object's key, each part percent-encoded where a file name could not hold it.
"""

import hashlib
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import BufferedReader
from pathlib import Path
from urllib.parse import quote, unquote

from tickhouse_core.errors import LakeUnavailable
from tickhouse_core.files import sync_folder, write_whole
from tickhouse_core.settings import LakeSettings, read

_EMPTY = "%00"
_PLAIN = " !#$&'()*+,:;=@[]^_`{}~"
_INCOMING = "%incoming"
"""A percent sign that begins no escape: no key is spelled so."""

_md5 = partial(hashlib.md5, usedforsecurity=False)


@dataclass(frozen=True, slots=True)
class CopiedObject:
    """One file of the copy; `modified_ns` is the file's, nanoseconds since the epoch."""

    key: str
    modified_ns: int


class LakeCopy:
    """One folder. What `keep` returned from survives a power cut. Thread- and process-safe; errors: LakeUnavailable."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, key: str, body: bytes) -> None:
        """Writes or replaces the file, whole or not at all."""
        self.keep_all(key, [body])

    def keep_all(self, key: str, chunks: Iterable[bytes]) -> int:
        """`keep` of chunks that come one by one, whose own errors travel: only one of them is in memory. Returns their bytes."""
        path = self._path(key)
        incoming = self._folder / _INCOMING / uuid.uuid4().hex
        try:
            incoming.parent.mkdir(parents=True, exist_ok=True)
            self._make_folder(path.parent)
            size = write_whole(path, chunks, incoming)
            sync_folder(path.parent)
        except OSError as error:
            raise LakeUnavailable(f"the lake's copy of {key}: {error}; is LAKE_COPY_DIR writable, with room left?") from error
        return size

    def forget(self, key: str) -> None:
        """The object was deleted on purpose."""
        try:
            self._path(key).unlink(missing_ok=True)
        except OSError as error:
            raise LakeUnavailable(f"the lake's copy of {key}: {error}") from error

    def read(self, key: str) -> bytes | None:
        """None if there is no such file."""
        with self.opened(key) as file:
            return None if file is None else file.read()

    @contextmanager
    def opened(self, key: str) -> Iterator[BufferedReader | None]:
        """The file while the context lasts, None if there is none."""
        try:
            file = self._path(key).open("rb")
        except FileNotFoundError:
            yield None
            return
        except OSError as error:
            raise LakeUnavailable(f"the lake's copy of {key}: {error}") from error
        try:
            with file:
                yield file
        except OSError as error:
            raise LakeUnavailable(f"the lake's copy of {key}: {error}") from error

    def etag(self, key: str) -> str | None:
        """What S3 calls an object of these bytes that was put in one request: their MD5. Read piece by piece."""
        with self.opened(key) as file:
            return None if file is None else hashlib.file_digest(file, _md5).hexdigest()

    def objects(self) -> Iterator[CopiedObject]:
        """All files, in no order."""
        for folder, _folders, names in os.walk(self._folder):
            parts = Path(folder).relative_to(self._folder).parts
            if parts[:1] == (_INCOMING,):
                continue
            for name in names:
                yield CopiedObject("/".join(map(_part, (*parts, name))), Path(folder, name).stat().st_mtime_ns)

    def _path(self, key: str) -> Path:
        return self._folder.joinpath(*map(_file_name, key.split("/")))

    def _make_folder(self, folder: Path) -> None:
        """With its parents, each of them durable."""
        if folder.is_dir():
            return
        if folder != self._folder:
            self._make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def etag_of(body: bytes) -> str:
    """The MD5, as S3 gives it for an object put in one request."""
    return _md5(body).hexdigest()


def configured_copy() -> LakeCopy | None:
    """The copy that LAKE_COPY_DIR names, None where the lake itself is trusted to keep what it has."""
    folder = read(LakeSettings).copy_dir
    return None if folder is None else LakeCopy(folder)


def _file_name(part: str) -> str:
    """Dots alone would lead out of the folder, an empty part (a//b, or a key that ends in a slash) would vanish."""
    return quote(part, safe=_PLAIN) if part.strip(".") else "%2E" * len(part) or _EMPTY


def _part(file_name: str) -> str:
    return "" if file_name == _EMPTY else unquote(file_name)
