"""Request weight and spool: by the processes' own figures, and by the last heartbeat where they cannot be asked."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from status_page.processes import ProcessState


def limits_of(heartbeats: Iterable[Sequence[Any]], processes: Iterable[ProcessState]) -> dict[str, list[dict[str, Any]]]:
    """`weights` and `spools`, with what is used and the limit; 0 where nobody says the limit."""
    weights: list[dict[str, Any]] = []
    spools: dict[tuple[str, str], dict[str, Any]] = {}
    for venue, process, instance, _, _, _, spool_bytes, _, stopped in heartbeats:
        if process == "stream" and not stopped:
            spools[venue, instance] = _spool((venue, instance), int(spool_bytes), 0)
    for process in processes:
        for kind in ("stream", "mirror"):
            limits = {_where(labels): value for labels, value in process.value(f"tickhouse_{kind}_weight_limit")}
            for labels, used in process.value(f"tickhouse_{kind}_used_weight"):
                limit = limits.get(_where(labels), 0)
                weights.append({"process": process.name, "venue": labels.get("venue", ""), "used": used, "limit": limit})
        limits = {_where(labels): value for labels, value in process.value("tickhouse_stream_spool_limit_bytes")}
        for labels, size in process.value("tickhouse_stream_spool_bytes"):
            spools[_where(labels)] = _spool(_where(labels), size, limits.get(_where(labels), 0))
    return {"weights": weights, "spools": list(spools.values())}


def _spool(where: tuple[str, str], size: float, limit: float) -> dict[str, Any]:
    return {"venue": where[0], "instance": where[1], "bytes": size, "limit": limit}


def _where(labels: Mapping[str, str]) -> tuple[str, str]:
    return labels.get("venue", ""), labels.get("instance", "")
