"""certificate.json: what an export holds, where it came from, what is missing, and how far it was verified. No clock is in it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson

from tickhouse.export.job import Job
from tickhouse.export.output_folder import CERTIFICATE, sum_of
from tickhouse.export.plan import Outcome, Plan
from tickhouse.export.spans import Span
from tickhouse.export.survey import Survey
from tickhouse_core.datasets import DATASET_OF, DEPTH_DIFFS, DEPTH_SNAPSHOTS, Dataset
from tickhouse_core.reading.certainty import Certainty
from tickhouse_core.reading.objects import candidates
from tickhouse_core.timestamps import format_instant

VERSION = 1
_MOST_NAMED = 5


def of_symbol(job: Job, plan: Plan, outcome: Outcome, known: dict[str, Certainty], quantity: dict[str, Any]) -> dict[str, Any]:
    """What is known of one symbol. `known` is by channel, `quantity` from `quantities_of`."""
    tick, lot = outcome.tick_and_lot
    surveys = {"trades": plan.trades, "depth": plan.book}
    described: dict[str, Any] = {
        "channels": {channel: _of_channel(job, channel, one, surveys.get(channel)) for channel, one in known.items()},
        "rows_written": dict(sorted(outcome.written.items())),
        "rows_left_out": dict(sorted(outcome.left_out.items())),
        "left_out": _spans(plan.left_out),
        "clock_correction_us": outcome.clock_correction,
        "rows_with_moved_receipt": dict(sorted(outcome.late.items())),
        "whole_books": outcome.resets,
        "unreadable_objects": sorted({said for scan in job.scans for said in scan.unreadable}),
        "notes": outcome.notes,
        "quantity": quantity,
    }
    if tick is not None and lot is not None:
        described["smallest_steps_seen"] = {"price": f"{tick:f}", "quantity": f"{lot:f}"}
    return described


def sources_of(job: Job, plan: Plan, datasets: Sequence[Dataset]) -> list[dict[str, str]]:
    """The objects that can hold rows of the range, or of the book at its start, by key; etags tell other versions apart."""
    start = plan.book.start_book if plan.book is not None else None
    since = job.asked.start if start is None else min(job.asked.start, start.since_us)
    found: dict[str, str] = {}
    for dataset in (*datasets, *([DEPTH_SNAPSHOTS] if DEPTH_DIFFS in datasets else [])):
        asked = replace(job.asked, start=since) if dataset in (DEPTH_DIFFS, DEPTH_SNAPSHOTS) else job.asked
        healed = () if dataset is DEPTH_SNAPSHOTS else job.healed(dataset)
        found |= {one.summary.key: one.summary.etag for one in candidates(job.store, dataset, asked, healed)}
    return [{"key": key, "etag": found[key]} for key in sorted(found)]


def write_certificate(
    folder: Path,
    identity: dict[str, Any],
    symbols: dict[str, Any],
    sources: Sequence[dict[str, str]],
    files: Sequence[tuple[str, int]],
) -> None:
    """Beside the files, with their checksums."""
    listed = [
        {"name": name, "rows": rows, "bytes": (folder / name).stat().st_size, "sha256": sum_of(folder / name)}
        for name, rows in sorted(files)
    ]
    content = {
        "certificate_version": VERSION,
        "product": {"name": "tickhouse", "version": version("tickhouse")},
        "export": identity,
        "symbols": symbols,
        "files": listed,
        "sources": sources,
    }
    (folder / CERTIFICATE).write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2) + b"\n")


def _of_channel(job: Job, channel: str, known: Certainty, survey: Survey | None) -> dict[str, Any]:
    (line,) = known.coverage.to_pylist()
    gaps, absent = known.gaps.to_pylist(), job.absent(DATASET_OF[channel])
    inclusive = [[(first, end - 1) for first, end in ranges] for ranges in job.missing(DATASET_OF[channel], known)]
    described: dict[str, Any] = {
        "rows": line["rows"],
        "is_complete": known.is_complete,
        "recorded_from": _text(line["recorded_from"]),
        "recorded_until": _text(line["recorded_until"]),
        "coverage": line["coverage"],
        "breaks_without_a_gap": line["holes"],
        "unreadable_objects": list(known.unreadable),
        "gaps": [
            {name: _plain(value) for name, value in gap.items() if name not in ("venue", "symbol", "event")} | {"missing": ids}
            for gap, ids in zip(gaps, inclusive, strict=True)
        ],
        "gaps_in_words": [_in_words(channel, gap, ids, absent) for gap, ids in zip(gaps, inclusive, strict=True)],
    }
    if survey is None:
        return described
    described["proven"] = _spans(survey.spans)
    described["least_latency_us"] = survey.least_latency
    if channel == "depth":
        by_event: dict[str, list[dict[str, Any]]] = {"proven": [], "synced": [], "mismatch": [], "unproven": []}
        for row in survey.verdicts:
            words = {"at": _text(row["started_at"]), "update_id": row["to_update_id"]}
            by_event[row["event"]].append(words | ({"detail": row["detail"]} if row["detail"] else {}))
        described |= {"proofs": by_event["proven"], "resyncs": by_event["synced"]}
        described |= {"mismatches": by_event["mismatch"], "could_not_be_proven": by_event["unproven"]}
    return described


def _in_words(channel: str, gap: dict[str, Any], missing: Sequence[tuple[int, int]], absent: Sequence[tuple[int, int]]) -> str:
    """`missing`: the ids that are missing still, both included. `absent`: those that the venue does not have, half-open."""
    first, last = gap["from_update_id"], gap["to_update_id"]
    nowhere = [] if first is None else [span for span in absent if span[0] <= last and first < span[1]]
    here = "here, or not available from the venue" if nowhere else "here"
    named = "rows" if first is None else _ids((first, last))
    if missing and list(missing) != [(first, last)]:
        more = f" and {len(missing) - _MOST_NAMED} more ranges" if len(missing) > _MOST_NAMED else ""
        named = f"{', '.join(map(_ids, missing[:_MOST_NAMED]))}{more} (of {named}, whose rest is {here})"
    state = "missing" if gap["is_open"] else f"missed by one recorder, but {here}"
    if any(start <= first and last < end for start, end in nowhere):
        state = "not available from the venue"
    until = gap["ended_at"] or gap["started_at"]
    return f"{channel}: {named} {state}, {_text(gap['started_at'])} to {_text(until)} ({gap['cause']})"


def _ids(span: tuple[int, int]) -> str:
    return f"id {span[0]}" if span[0] == span[1] else f"ids {span[0]} to {span[1]}"


def _spans(spans: Sequence[Span]) -> list[list[str]]:
    return [[format_instant(start), format_instant(end)] for start, end in spans]


def _plain(value: object) -> object:
    return _text(value) if isinstance(value, datetime) else value


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else instant.replace(tzinfo=None).isoformat() + "Z"
