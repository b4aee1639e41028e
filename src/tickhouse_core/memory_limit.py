"""How much memory this process may use: its container's limit (cgroup v2 or v1), or what the machine has."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


def memory_limit(root: Path = Path("/")) -> int | None:
    """Bytes, the smallest limit of the process's control groups; None where none is limited. `root` holds /proc and /sys.

    v2: `memory.max`; v1: `memory.limit_in_bytes` of the controller `memory`. A container may see its own group as the root.
    """
    groups = _read(root / "proc/self/cgroup") or ""
    limits = [limit for file in _files(root / "sys/fs/cgroup", groups) if (limit := _limit(file)) is not None]
    return min((limit for limit in limits if limit < machine_memory()), default=None)


def machine_memory() -> int:
    """Bytes of the whole machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _files(mount: Path, groups: str) -> Iterator[Path]:
    for line in groups.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            folder, name = mount, "memory.max"
        elif "memory" in controllers.split(","):
            folder, name = mount / "memory", "memory.limit_in_bytes"
        else:
            continue
        inside = Path(path.strip("/"))
        for part in (inside, *inside.parents):
            if ".." not in part.parts:
                yield folder / part / name


def _limit(file: Path) -> int | None:
    said = (_read(file) or "").strip()
    return int(said) if said.isdigit() else None


def _read(file: Path) -> str | None:
    with contextlib.suppress(OSError):
        return file.read_text(errors="replace")
    return None
