"""Poller: polls the whole pipeline in the background; a reader gets the newest state at once."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import orjson

from status_page import health, remedies
from status_page.event_remedies import with_remedies
from status_page.health import DOWN, NO_ANSWER, Fault, GoldState, LakeState, Recorder, Stage, recorder_of
from status_page.lake_lag import LakeLag
from status_page.processes import OWN, Processes, ProcessState, gauges_of
from status_page.queries import Queries
from status_page.remedies import Running
from status_page.vitals import QueueDepths
from tickhouse_core.datasets import QUEUES
from tickhouse_core.errors import TickhouseError
from tickhouse_core.lake import open_queue
from tickhouse_core.message_queue import MessageQueue
from tickhouse_core.metrics import DEFAULT_BATCH_SECONDS, LONGEST_BATCH_SECONDS, Component, Sample, Watchdog, batch_seconds_of
from tickhouse_core.reading.reasons import several
from tickhouse_core.timestamps import DAY_US, HOUR_US, SECOND_US, now_us

log = logging.getLogger(__name__)

FAST_SECONDS, IDLE_SECONDS, SLOW_SECONDS = 1.0, 5.0, 15.0
WATCHED_SECONDS = 15.0
"""How long after the last request the page counts as watched."""

COVERAGE_HOURS = 24

_SHOWN = ("queues", "processes", "markets", "coverage", "checks", "events")
"""Parts as the page shows them; those that no poll has read yet are empty, and named in `loading`."""

SHOWS = "tickhouse_status_info"
"""The metric that tells one page from another; its folder is empty with S3 and a server."""


class Poller:
    """Two threads, a fast and a slow poll, each with its own connection. `state` never waits and never fails."""

    def __init__(
        self,
        queries: Queries,
        slow_queries: Queries,
        lake: LakeLag,
        processes: Processes,
        coverage_hours: int = COVERAGE_HOURS,
        running: Running | None = None,
    ) -> None:
        """`running`: how the pipeline runs, for the commands that the page shows."""
        self._queries = queries
        self._slow_queries = slow_queries
        self._lake = lake
        self._processes = processes
        self._coverage_hours = coverage_hours
        self._running = running or Running()
        self.depths = QueueDepths()
        self._queues: dict[str, MessageQueue] = {}
        self._parts: dict[str, Any] = {}
        self._seen: list[ProcessState] = []
        self._trouble: dict[str, str] = {}
        self._recording_since_us = 0
        self._newest: dict[str, float] = {}
        self._state = b"{}"
        self._version = 0
        self._changed = threading.Condition()
        self._asked_at = 0.0
        self._stop = threading.Event()
        self._kept: dict[str, Callable[[], object]] = {}
        self._watchdog = Watchdog("the look at the pipeline", 120)
        self._threads = [
            threading.Thread(target=self._run, args=(look, pause), name=f"poller-{name}", daemon=True)
            for name, look, pause in (
                ("slow", self._poll_slowly, lambda: SLOW_SECONDS if self._is_watched() else 4 * SLOW_SECONDS),
                ("fast", self._poll_fast, lambda: FAST_SECONDS if self._is_watched() else IDLE_SECONDS),
            )
        ]

    def keep_fresh(self, part: str, read: Callable[[], object]) -> None:
        """Something slow that viewers ask for: it is read now and then while the page is watched. Call it before the start."""
        self._kept[part] = read

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(30)
        self._processes.close()

    def poll(self) -> bytes:
        """Polls everything once, now, without threads: for a command that prints one state."""
        self._poll_slowly()
        self._poll_fast()
        return self._state

    def state(self) -> tuple[int, bytes]:
        """A number that grows with every poll, and the newest state as JSON."""
        self._asked_at = time.monotonic()
        return self._version, self._state

    def first_state(self, seconds: float) -> bytes:
        """The newest state; waits at most `seconds` for the first one."""
        self._asked_at = time.monotonic()
        with self._changed:
            self._changed.wait_for(lambda: self._version > 0, seconds)
        return self._state

    def markets(self) -> list[tuple[str, str]]:
        """Venue and symbol of everything there is to draw."""
        return [(venue, symbol) for venue, symbol, *_ in self._parts.get("markets", ())]

    def process(self) -> Component:
        """The page itself: ready if its last poll reached lake and warehouse."""

        def samples() -> list[Sample]:
            name, said = "tickhouse_status_newest_timestamp_seconds", "when the newest data of a stage is from, at the last poll"
            newest = [Sample(name, instant, said, {"stage": stage}) for stage, instant in self._newest.items()]
            looked = Sample("tickhouse_status_looks_total", self._version, "polls of the pipeline")
            shown = Sample(SHOWS, 1, "1; the label names the data folder that the page shows", {"folder": self._running.folder})
            return [looked, shown, *newest]

        def trouble() -> list[str]:
            return [f"{part}: {why}" for part, why in list(self._trouble.items())] if self._version else ["no look yet"]

        return Component(OWN, samples, trouble, self._watchdog.not_alive)

    def _is_watched(self) -> bool:
        return time.monotonic() - self._asked_at < WATCHED_SECONDS

    def _run(self, look: Callable[[], None], pause: Callable[[], float]) -> None:
        while not self._stop.is_set():
            look()
            began = time.monotonic()
            while not self._stop.wait(0.1) and time.monotonic() - began < pause():
                pass

    def _poll_fast(self) -> None:
        now = now_us()
        self._part("processes", lambda: [state.shown() for state in self._poll_processes()])
        self._part("heartbeats", lambda: self._queries.ask("heartbeats", {"since_us": now - DAY_US}))
        self._part("events", lambda: self._queries.ask("events", {"since_us": now - 7 * DAY_US}))
        self._part("lake", lambda: self._lake.look(now_us()))
        self._part("loads", lambda: self._queries.ask("loads", {"since_us": now - HOUR_US})[0])
        self._part("watermarks", lambda: self._queries.ask("watermarks"))
        self._part("queues", self._poll_queues)
        if not self._parts.get("markets"):  # the first one is shown as soon as it is loaded
            self._part("markets", self._poll_markets)
        self._watchdog.beat()
        self._publish()

    def _poll_slowly(self) -> None:
        since = now_us() // HOUR_US * HOUR_US - (self._coverage_hours - 1) * HOUR_US
        self._part("markets", self._poll_markets)
        self._part("coverage", lambda: self._slow_queries.ask("coverage", {"since_us": since}))
        self._part("checks", lambda: self._slow_queries.ask("checks"))
        for part, read in self._kept.items() if self._is_watched() else ():
            self._part(part, read)

    def _part(self, name: str, look: Callable[[], Any]) -> None:
        """Keeps the last figures of a part that is unavailable, with the reason."""
        try:
            self._parts[name] = look()
            self._trouble.pop(name, None)
        except TickhouseError as error:
            if name not in self._trouble:
                log.warning("cannot poll", extra={"at": name, "why": str(error)})
            self._trouble[name] = str(error)

    def _poll_processes(self) -> list[ProcessState]:
        self._seen = self._processes.look()
        return self._seen

    def _poll_queues(self) -> list[dict[str, Any]]:
        queues = [self._queue(name) for name in QUEUES]
        self.depths.see(now_us(), queues)
        return queues

    def _poll_markets(self) -> list[Sequence[Any]]:
        return self._slow_queries.ask("markets", {"since_us": now_us() - HOUR_US})

    def _queue(self, name: str) -> dict[str, Any]:
        for queue in (name, f"{name}-dlq"):
            if queue not in self._queues:
                self._queues[queue] = open_queue(queue, brief=True)
        depth, dead = self._queues[name].depth(), self._queues[f"{name}-dlq"].depth()
        return {"name": name, "waiting": depth.visible, "in_flight": depth.in_flight, "dead": dead.visible + dead.in_flight}

    def running(self) -> Running:
        """As far as it is known now: parts of this process may begin after the page."""
        records_here = any(not state.address and state.name == "stream" for state in self._seen)
        return replace(self._running, records_here=records_here)

    def _publish(self) -> None:
        now = now_us()
        stages = self._stages(now)
        verdict, words = health.overall(stages, self._other_troubles())
        state = {
            "at": now,
            "verdict": verdict,
            "words": words,
            "stages": [asdict(stage) for stage in stages],
            "coverage_hours": self._coverage_hours,
            "trouble": dict(self._trouble),
            "loading": [name for name in _SHOWN if name not in self._parts],
            **{name: self._parts.get(name, []) for name in _SHOWN},
            "recorders": [
                {"name": f"{process} {venue} {instance}", "since": int(began) / SECOND_US, "seen": int(beat) / SECOND_US}
                for venue, process, instance, beat, began, *_, has_stopped in self._parts.get("heartbeats", ())
                if not has_stopped
            ],
            **gauges_of(self._parts.get("heartbeats", ()), self._seen),
        }
        running = self.running()
        state["events"] = with_remedies(running, state["events"])
        self._newest = {one.name: now / SECOND_US - one.age_seconds for one in stages if one.age_seconds is not None}
        body = orjson.dumps(remedies.with_commands(state, running))
        with self._changed:
            self._state, self._version = body, self._version + 1
            self._changed.notify_all()

    def _stages(self, now: int) -> list[Stage]:
        recorders = self._recorders()
        recording = health.is_recording(recorders, now)
        self._recording_since_us = (self._recording_since_us or now) if recording else 0
        shortest, longest = health.batch_seconds_now(recorders, now)
        lake = self._parts.get("lake") or LakeState(0, ())
        last_load, newest_event, untaken = map(int, self._parts.get("loads") or (0, 0, 0))
        untaken = max(untaken, self._transformer_began()) if untaken else 0
        watermark = min((int(reached) for _, reached, _ in self._parts.get("watermarks", ())), default=0)
        stages = {
            "venue": health.recorder_stage(recorders, now),
            "lake": health.lake_stage(lake, recording, now, shortest, self._recording_since_us),
            "warehouse": health.warehouse_stage(lake, last_load, newest_event, now),
            "gold": health.gold_stage(GoldState(watermark, last_load, untaken), now, longest),
        }
        for part, stage, fault in (
            ("queues", "lake", Fault.LAKE_UNAVAILABLE),
            ("lake", "lake", Fault.LAKE_UNAVAILABLE),
            ("loads", "warehouse", Fault.WAREHOUSE_UNAVAILABLE),
            ("watermarks", "gold", Fault.WAREHOUSE_UNAVAILABLE),
        ):
            if part in self._trouble:
                stages[stage] = health.unavailable_stage(stage, self._trouble[part], fault)
        for process in self._seen:
            stage = {"stream": "venue", "loader": "warehouse", "transformer": "gold"}.get(process.name.split("-")[0], "")
            if process.trouble and stage and process.address and process.trouble[0].startswith(NO_ANSWER):
                words = f"{process.name} {process.trouble[0]}"
                stages[stage] = Stage(stage, DOWN, stages[stage].age_seconds, words, Fault.GONE, process.name)
        return list(stages.values())

    def _transformer_began(self) -> int:
        """In microseconds, 0 where none says it: what was loaded before waits for it since then, not since it was loaded."""
        began = [one.since for one in self._seen if one.name.split("-")[0] == "transformer" and one.since]
        return int(min(began, default=0) * SECOND_US)

    def _recorders(self) -> list[Recorder]:
        """From their own metrics where STATUS_TARGETS names them, else from their last heartbeat or object."""
        seen: dict[str, Recorder] = {}
        lake = self._parts.get("lake")
        for venue, process, instance, beat, *_, detail, stopped in self._parts.get("heartbeats", ()):
            if process == "stream":
                found = recorder_of(venue, instance, int(beat), bool(stopped), batch_seconds_of(str(detail)), lake)
                seen[found.name] = found
        for process in self._seen:
            batches = {_name(labels): value for labels, value in process.value("tickhouse_stream_batch_seconds")}
            for labels, value in process.value("tickhouse_stream_last_receipt_timestamp_seconds"):
                if value:
                    name = _name(labels)
                    batch_seconds = min(batches.get(name, DEFAULT_BATCH_SECONDS), LONGEST_BATCH_SECONDS)
                    seen[name] = Recorder(name, int(value * 1e6), False, batch_seconds, is_asked=True)
        return list(seen.values())

    def _other_troubles(self) -> list[str]:
        dead = [
            f"{several(queue['dead'], 'dead letter', 'dead letters')} of {queue['name']}"
            for queue in self._parts.get("queues", ())
            if queue["dead"]
        ]
        failed = [
            f"check {name} failed"
            for name, severity, verdict, *_ in self._parts.get("checks", ())
            if (severity, verdict) == ("error", "failed")
        ]
        unready = [f"{one['name']}: {one['trouble'][0]}" for one in self._parts.get("processes", ()) if one["trouble"]]
        return [*dead, *failed, *unready]


def _name(labels: Mapping[str, str]) -> str:
    """The recorder's name, the same from heartbeat and metrics."""
    return f"{labels.get('venue', '')} {labels.get('instance', '')}"
