from pathlib import Path

import pytest

from load_process.limits import machine_memory, memory_limit

TWO_GIGA = 2 * 1024**3
V2 = "0::{path}\n"
V1 = "5:devices:/\n4:cpu,memory:{path}\n0::/\n"


def machine(root: Path, groups: str, **files: str) -> Path:
    (root / "proc" / "self").mkdir(parents=True)
    (root / "proc" / "self" / "cgroup").write_text(groups)
    for name, said in files.items():
        file = (
            root
            / "sys"
            / "fs"
            / "cgroup"
            / name.replace("__", "/").replace("_max", ".max").replace("memory_limit", "memory.limit")
        )
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(said)
    return root


@pytest.mark.parametrize(
    ("groups", "files", "limit"),
    [
        (V2.format(path="/"), {"memory_max": f"{TWO_GIGA}\n"}, TWO_GIGA),  # a container with a namespace of its own
        (V2.format(path="/system.slice/docker-1"), {"system.slice__docker-1__memory_max": f"{TWO_GIGA}\n"}, TWO_GIGA),
        (V2.format(path="/a/b"), {"a__memory_max": f"{TWO_GIGA}", "a__b__memory_max": "max\n"}, TWO_GIGA),
        (V2.format(path="/a/b"), {"a__memory_max": f"{TWO_GIGA}", "a__b__memory_max": "1000000\n"}, 1_000_000),
        (V1.format(path="/docker/1"), {"memory__memory_limit_in_bytes": f"{TWO_GIGA}\n"}, TWO_GIGA),  # sees itself as the root
        (V1.format(path="/x"), {"memory__x__memory_limit_in_bytes": f"{TWO_GIGA}\n"}, TWO_GIGA),
        (V1.format(path="/"), {"memory__memory_limit_in_bytes": "9223372036854771712\n"}, None),
        (V2.format(path="/"), {"memory_max": "max\n"}, None),
        (V2.format(path="/../.."), {"memory_max": "what?\n"}, None),
        ("", {}, None),
    ],
)
def test_the_smallest_limit_of_the_control_groups_counts(
    tmp_path: Path, groups: str, files: dict[str, str], limit: int | None
) -> None:
    assert memory_limit(machine(tmp_path, groups, **files)) == limit


def test_where_nothing_says_so_there_is_no_limit(tmp_path: Path) -> None:
    assert memory_limit(tmp_path) is None
    assert machine_memory() > 2**26
