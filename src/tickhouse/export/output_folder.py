"""The folder of an export: everything is written beside it and appears at once, the certificate last."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from tickhouse_core.errors import UsageError

CERTIFICATE = "certificate.json"
_MARK = ".tickhouse-export"
_READ_BYTES = 4 * 1024 * 1024


@contextmanager
def unfinished(out: Path, identity: dict[str, Any]) -> Iterator[Path]:
    """A folder to write into; when the context ends well, what is in it is `out`, which may hold the same export from before.

    `identity` is what the certificate's `export` says. Raises UsageError where `out` holds something else, or is being written.
    """
    _check(out, identity)
    work = out.with_name(f"{out.name}.unfinished")
    if work.exists() and not (work / _MARK).exists():
        raise UsageError(f"{work} is no unfinished export: move it away")
    work.mkdir(parents=True, exist_ok=True)
    with (work / _MARK).open("wb") as mark:
        try:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"another export writes to {out} now") from None
        try:
            _empty(work)
            yield work
            _publish(work, out, identity)
        finally:
            shutil.rmtree(work)


def sum_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_READ_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _check(out: Path, identity: dict[str, Any]) -> None:
    """Raises UsageError."""
    nearest = next(place for place in (out, *out.absolute().parents) if os.path.lexists(place))
    if not nearest.is_dir():
        where = "" if nearest == out else f": {nearest}"
        raise UsageError(f"--out {out}{where} is a file: name a folder; a new one is created")
    if not out.exists() or not any(out.iterdir()):
        return
    before = _certificate_of(out)
    if before is None:
        raise UsageError(f"--out {out} is not empty, and no export: name another folder")
    if before.get("export") != identity:
        raise UsageError(f"--out {out} holds another export: name another folder, or remove that one")


def _certificate_of(out: Path) -> dict[str, Any] | None:
    try:
        found = orjson.loads((out / CERTIFICATE).read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return None
    return found if isinstance(found, dict) else None


def _empty(work: Path) -> None:
    for path in work.iterdir():
        if path.name == _MARK:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _publish(work: Path, out: Path, identity: dict[str, Any]) -> None:
    """Without its certificate an export is not whole: the old one goes first, the new one comes last."""
    _check(out, identity)
    out.mkdir(parents=True, exist_ok=True)
    before = _certificate_of(out)
    (out / CERTIFICATE).unlink(missing_ok=True)
    for file in (before or {}).get("files", []):
        (out / file["name"]).unlink(missing_ok=True)
    names = sorted(path.relative_to(work) for path in work.rglob("*") if path.is_file() and path.name != _MARK)
    for name in sorted(names, key=lambda name: str(name) == CERTIFICATE):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).replace(out / name)
