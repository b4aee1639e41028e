"""FolderStore: the lake as files in a folder, for one machine without S3. A file's path is the object's key.

Each part of a key is percent-encoded where a file name could not hold it. Etags are MD5, as S3 gives them to objects put in
one request: a folder that is uploaded to a bucket keeps its versions.
"""

import errno
import fcntl
import logging
import os
import stat
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, unquote

from tickhouse_core.errors import (
    LakeRefused,
    LakeUnavailable,
    ObjectChanged,
    ObjectMissing,
    ObjectTooLarge,
    TickhouseError,
)
from tickhouse_core.files import etag_of, md5, remember_etag, sync
from tickhouse_core.object_store import CHUNK_BYTES, Folder, ObjectStore, ObjectSummary, StoredObject
from tickhouse_core.timestamps import to_datetime

log = logging.getLogger(__name__)

_EMPTY = "%00"
_PLAIN = " !#$&'()*+,:;=@[]^_`{}~"
_INCOMING, _LOCK = "%incoming", "%lock"
"""A percent sign that begins no escape: no key is spelled so."""

_MOST_NAME_BYTES = 255
"""Of a file, for the kernel."""

_MOST_STRANGERS = 1_000
"""So many files that are no objects are named one by one, each of them once."""

_NEVER_POSSIBLE = {errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR}

OnCreated = Callable[[str, str, int], None]
"""Key, etag and size in bytes of an object that was written."""


class FolderStore(ObjectStore):
    """Thread- and process-safe. What a write returned from survives a power cut."""

    is_local = True

    def __init__(self, folder: Path, bucket: str = "", on_created: OnCreated | None = None) -> None:
        """`bucket` is the name that versions of its objects have; `on_created` is called after a write, as S3 notifies."""
        super().__init__(bucket)
        self._folder = folder
        self._on_created = on_created
        self._strangers: set[str] = set()

    def write(self, key: str, body: bytes, *, replaces: str | None = None, must_be_new: bool = False) -> str:
        self.write_chunks(key, [body], replaces=replaces, must_be_new=must_be_new)
        return md5(body).hexdigest()

    def upload_new(self, key: str, file: BinaryIO) -> None:
        self.write_chunks(key, iter(partial(file.read, CHUNK_BYTES), b""), must_be_new=True)

    def write_chunks(self, key: str, chunks: Iterable[bytes], *, replaces: str | None = None, must_be_new: bool = False) -> int:
        """`write` of chunks that come one by one, whose own errors travel: only one of them is in memory. Returns their bytes."""
        path = self._path(key)
        incoming = self._folder / _INCOMING / uuid.uuid4().hex
        digest = md5()
        with self._errors(key):
            incoming.parent.mkdir(parents=True, exist_ok=True)
            try:
                size = 0
                with incoming.open("xb") as file:
                    for chunk in chunks:
                        digest.update(chunk)
                        size += file.write(chunk)
                    file.flush()
                    remember_etag(file, digest.hexdigest())
                    os.fsync(file.fileno())
                with self._writing():
                    if must_be_new or replaces is not None:
                        self._check(key, replaces)
                    self._make_folder(path.parent)
                    incoming.replace(path)
            finally:
                incoming.unlink(missing_ok=True)  # a partial object is useless and takes space
            sync(path.parent)
        if self._on_created is not None:
            self._on_created(key, digest.hexdigest(), size)
        return size

    def read(self, key: str, *, most_bytes: int | None = None) -> StoredObject:
        with self.opened(key) as file:
            size = os.fstat(file.fileno()).st_size
            if most_bytes is not None and size > most_bytes:
                said = f"{self.where(key)} has {size:,} bytes, {most_bytes:,} are allowed"
                raise ObjectTooLarge(said, etag_of(file))
            body = file.read()
        return StoredObject(key, md5(body).hexdigest(), body)

    def chunks(self, key: str) -> Iterator[bytes]:
        with self.opened(key) as file:
            yield from iter(partial(file.read, CHUNK_BYTES), b"")

    def read_range(self, summary: ObjectSummary, start: int, end: int) -> bytes:
        with self.opened(summary.key) as file:
            if etag_of(file) != summary.etag:
                raise ObjectChanged(f"{self.where(summary.key)} is another object now")
            return os.pread(file.fileno(), end - start, start)

    def delete(self, key: str, *, only: str | None = None) -> None:
        """It may be gone already."""
        with self._errors(key), self._writing():
            if only is not None and self.etag_if_any(key) not in (None, only):
                raise ObjectChanged(f"{self.where(key)} is another object now")
            self._path(key).unlink(missing_ok=True)

    def etag_if_any(self, key: str) -> str | None:
        """Of the object that is there now."""
        try:
            with self.opened(key) as file:
                return etag_of(file)
        except ObjectMissing:
            return None

    def check_access(self) -> None:
        """A folder that is not there yet is an empty lake: the first write makes it."""
        if self._folder.exists() and not os.access(self._folder, os.R_OK | os.X_OK):
            raise LakeUnavailable(f"{self._folder} cannot be read by this user")

    def list_keys(self, prefix: str) -> Iterator[ObjectSummary]:
        folder, _, _ = prefix.rpartition("/")
        for key, path in self._walk(f"{folder}/" if folder else ""):
            if key.startswith(prefix) and (summary := self._summary(key, path)) is not None:
                yield summary

    def list_folder(self, prefix: str) -> tuple[Folder, list[str]]:
        objects: list[ObjectSummary] = []
        inner: list[str] = []
        for name, entry in sorted(self._entries(self._folder_of(prefix)), key=lambda found: found[0]):
            if entry.is_dir():
                inner.append(f"{prefix}{name}/")
            elif (summary := self._summary(f"{prefix}{name}", entry.path)) is not None:
                objects.append(summary)
        return Folder(prefix, objects), inner

    def where(self, key: str) -> str:
        return os.path.join(self._folder, *map(_file_name, key.split("/")))  # noqa: PTH118 - asked for every object of a range

    def _walk(self, prefix: str) -> Iterator[tuple[str, str]]:
        """Keys and files below a folder, in the order of S3: by the whole key."""
        entries = self._entries(self._folder_of(prefix))
        for name, entry in sorted(entries, key=lambda found: found[0] + "/" * found[1].is_dir()):
            if entry.is_dir():
                yield from self._walk(f"{prefix}{name}/")
            else:
                yield f"{prefix}{name}", entry.path

    def _entries(self, folder: Path) -> list[tuple[str, "os.DirEntry[str]"]]:
        """With their names as parts of keys; nothing where there is no such folder. What can be no object is named, once."""
        with self._errors(str(folder)):
            try:
                with os.scandir(folder) as entries:
                    found = [entry for entry in entries if entry.name not in (_INCOMING, _LOCK)]
            except (FileNotFoundError, NotADirectoryError):
                return []
            return [(_part(entry.name), entry) for entry in found if not self._is_stranger(entry)]

    def _is_stranger(self, entry: "os.DirEntry[str]") -> bool:
        """People put things into folders: pipes, links that lead back, names that no key is spelled by."""
        why = _why_no_object(entry)
        if why is not None and entry.path not in self._strangers and len(self._strangers) < _MOST_STRANGERS:
            self._strangers.add(entry.path)
            log.warning("not an object of the lake, ignored", extra={"file": ascii(entry.path), "why": why})
        return why is not None

    def _summary(self, key: str, path: str) -> ObjectSummary | None:
        """None for a file that was deleted since it was listed."""
        with self._errors(key):
            try:
                with _opened_file(path) as file:
                    found = os.fstat(file.fileno())
                    return ObjectSummary(key, etag_of(file), found.st_size, to_datetime(found.st_mtime_ns // 1_000))
            except FileNotFoundError:
                return None

    def _check(self, key: str, replaces: str | None) -> None:
        """Raises ObjectChanged unless the key has that version now, or none for None."""
        found = self.etag_if_any(key)
        if found != replaces:
            raise ObjectChanged(f"{self.where(key)}: {'there is none' if found is None else 'there is another one'}")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One commit at a time, over all threads and processes: a rename knows no condition."""
        with (self._folder / _LOCK).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextmanager
    def opened(self, key: str) -> Iterator[BufferedReader]:
        """The file while the context lasts: these bytes, whatever is written meanwhile. Raises ObjectMissing."""
        with self._errors(key):
            try:
                file = _opened_file(self._path(key))
            except FileNotFoundError as error:
                raise ObjectMissing(f"{self.where(key)}: there is no such object") from error
            with file:
                yield file

    @contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        try:
            yield
        except TickhouseError:
            raise
        except OSError as error:
            said = f"{self._folder}: {key}: {error.strerror}"
            if error.errno in _NEVER_POSSIBLE and self._folder.is_dir():
                raise LakeRefused(said) from error
            raise LakeUnavailable(f"{said}; is the folder writable, with room left?") from error

    def _folder_of(self, prefix: str) -> Path:
        return self._path(prefix[:-1]) if prefix else self._folder

    def _path(self, key: str) -> Path:
        return self._folder.joinpath(*map(_file_name, key.split("/")))

    def _make_folder(self, folder: Path) -> None:
        """With its parents, each of them durable."""
        if folder.is_dir():
            return
        if folder != self._folder:
            self._make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync(folder.parent)


def _opened_file(path: Path | str) -> BufferedReader:
    """Raises IsADirectoryError for anything but a file: opening a pipe would block."""
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if stat.S_ISREG(os.fstat(file).st_mode):
        return os.fdopen(file, "rb")
    os.close(file)
    raise IsADirectoryError(errno.EISDIR, "Is no file", str(path))


def _why_no_object(entry: "os.DirEntry[str]") -> str | None:
    """None for an object and for a folder of objects. Raises OSError."""
    try:
        spelled = _file_name(_part(entry.name))
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    if spelled != entry.name:
        return f"its key would be the file {spelled}: rename it"
    path = Path(entry.path) if entry.is_symlink() else None
    if path is not None and Path(os.path.realpath(path.parent)).is_relative_to(os.path.realpath(path)):
        return "it is a link to a folder that it is in"
    try:
        return None if entry.is_dir() or entry.is_file() else "it is no file"
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return "it is a link that leads back to itself"


def _file_name(part: str) -> str:
    """Dots alone would lead out of the folder, an empty part (a//b, or a key that ends in a slash) would vanish.

    A name that is too long so has letters other than ASCII as they are: a Chinese one is three bytes then, and not nine.
    """
    if not part.strip("."):
        return "%2E" * len(part) or _EMPTY
    spelled = quote(part, safe=_PLAIN)
    return (
        spelled
        if len(spelled) <= _MOST_NAME_BYTES
        else "".join(one if ord(one) > 127 else quote(one, safe=_PLAIN) for one in part)
    )


def _part(file_name: str) -> str:
    return "" if file_name == _EMPTY else unquote(file_name)
