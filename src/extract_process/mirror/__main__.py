"""The mirror's command: `python -m extract_process.mirror --symbol BTCUSDT --symbol ETHUSDT`."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from extract_process.markets import MARKETS_FILE, collected_markets
from extract_process.mirror.messages import CHANNELS
from extract_process.mirror.options import LEAST_SNAPSHOT_SHARE, MOST_SNAPSHOT_LEVELS, MirrorOptions
from extract_process.mirror.send_buffer import SendLimits
from extract_process.shards import Shard, shard_named
from extract_process.venues import DEFAULT_VENUE, Venue, venue_named, venue_names
from tickhouse_core.command_line import one_of, print_figures, with_data_folder
from tickhouse_core.errors import UsageError
from tickhouse_core.lifecycle import run_command, stop_on_signals
from tickhouse_core.settings import LakeSettings, read
from tickhouse_core.starting import start

if TYPE_CHECKING:
    from extract_process.mirror.session import MirrorReport

MOST_BATCH_MESSAGES = 1_000
"""Pub/Sub refuses a request with more."""

MANY_SYMBOLS, FEWER_SNAPSHOT_LEVELS = 50, 500
"""With more symbols, smaller books: a hundred fit into 200 MB, and their snapshots into half a minute's weight."""

_TUNING = "Tuning"
_LIMITS = SendLimits()
_DEFAULTS = MirrorOptions(symbols=())


@with_data_folder()
def main(
    symbol: Annotated[
        list[str] | None, typer.Option(help=f"In the venue's spelling; repeats. Default: ACTIVE_SYMBOLS, or {MARKETS_FILE}.")
    ] = None,
    levels: Annotated[int, typer.Option(min=1, help="Visible levels per side.")] = _DEFAULTS.levels,
    conflate: Annotated[
        int, typer.Option(min=0, help="Minimum interval between messages per symbol, in ms; 0 = every change.")
    ] = 0,
    snapshot_every: Annotated[
        float, typer.Option(min=0.1, help="Seconds between snapshots per symbol.")
    ] = _DEFAULTS.snapshot_seconds,
    channel: Annotated[list[str] | None, typer.Option(help=f"{', '.join(CHANNELS)}; repeats. Default: all.")] = None,
    venue: Annotated[str, typer.Option(help=f"The exchange: {', '.join(venue_names())}.")] = DEFAULT_VENUE,
    shard: Annotated[
        str | None, typer.Option(help="Part of the symbols, such as 2/4: four processes with 1/4 to 4/4 have all of them.")
    ] = None,
    duration: Annotated[float | None, typer.Option(min=0, help="Seconds; default until a signal.")] = None,
    batch_ms: Annotated[
        int, typer.Option(min=0, help="Age of its oldest message at which a batch is sent, in ms.", rich_help_panel=_TUNING)
    ] = round(_DEFAULTS.batch_seconds * 1_000),
    batch_messages: Annotated[
        int, typer.Option(min=1, max=MOST_BATCH_MESSAGES, help="Messages at which a batch is sent.", rich_help_panel=_TUNING)
    ] = _LIMITS.batch_messages,
    room_mb: Annotated[
        int, typer.Option(min=1, help="Memory for waiting messages; above it, changes are merged.", rich_help_panel=_TUNING)
    ] = _DEFAULTS.room_bytes // 1024**2,
    snapshot_levels: Annotated[
        int | None, typer.Option(help="Levels per side of the venue's snapshots. Default: by venue.", rich_help_panel=_TUNING)
    ] = None,
    prove_every: Annotated[
        float, typer.Option(min=1, help="Seconds between two verifications of a book.", rich_help_panel=_TUNING)
    ] = _DEFAULTS.prove_seconds,
    stop_seconds: Annotated[
        float, typer.Option(min=0, help="Deadline of a clean stop.", rich_help_panel=_TUNING)
    ] = _DEFAULTS.stop_seconds,
) -> None:  # fmt: skip
    """Mirror the live top of the book, trades and tickers to Google Pub/Sub until a signal."""

    def work() -> None:
        from extract_process.mirror.session import run_mirror  # Google's client: 30 MB and 0.2 s other commands need not pay

        exchange = venue_named(venue)
        part = shard_named(shard, read(LakeSettings).cell)
        symbols = _symbols(exchange, symbol or [], part)
        options = MirrorOptions(
            symbols=symbols,
            venue=venue,
            shard=part,
            instance=part.instance(_DEFAULTS.instance) if part else _DEFAULTS.instance,
            channels=tuple(dict.fromkeys(one_of("--channel", name, CHANNELS) for name in channel or CHANNELS)),
            levels=levels,
            conflate_seconds=conflate / 1_000,
            snapshot_seconds=snapshot_every,
            batch_seconds=batch_ms / 1_000,
            limits=SendLimits(batch_messages=batch_messages),
            room_bytes=room_mb * 1024**2,
            duration_seconds=duration,
            snapshot_levels=_snapshot_levels(exchange, snapshot_levels, len(symbols) * (part.count if part else 1), levels),
            prove_seconds=prove_every,
            stop_seconds=stop_seconds,
        )
        began = time.monotonic()
        with stop_on_signals() as stop:
            report = run_mirror(options, stop)
        print_summary(report, time.monotonic() - began)

    run_command(work)


def print_summary(report: "MirrorReport", seconds: float) -> None:
    """What was mirrored, one figure a line, on stdout."""
    counts, published = report.counts, report.published
    figures = {
        "frames": counts.frames,
        "bytes received": counts.frame_bytes,
        "diffs": counts.diffs,
        "gaps": counts.gaps,
        "rows refused": counts.refused_rows,
        "books proven": counts.proven,
        "books found wrong": counts.mismatches,
        "snapshots": counts.snapshots,
        "deltas": counts.deltas,
        "messages published": published.messages,
        "bytes published": published.message_bytes,
        "publish requests": published.requests,
        "requests that failed": published.failed_requests,
        "messages lost": published.lost,
    }
    print_figures(figures, seconds, width=22)


def _symbols(venue: Venue, named: list[str], shard: Shard | None) -> tuple[str, ...]:
    wanted = dict.fromkeys(named, CHANNELS) if named else collected_markets(venue).wanted
    symbols = [symbol for symbol, streams in wanted.items() if set(streams) & set(CHANNELS)]
    return tuple(shard.part_of(venue.name, symbols) if shard else symbols)


def _snapshot_levels(venue: Venue, asked: int | None, symbols: int, levels: int) -> int:
    known = [number for number in venue.snapshot_levels if number <= MOST_SNAPSHOT_LEVELS]
    if asked not in (None, *known):
        raise UsageError(f"--snapshot-levels {asked}: choose from {', '.join(map(str, known))}")
    taken = asked or _usual_snapshot_levels(venue, symbols, levels)
    if taken < levels * LEAST_SNAPSHOT_SHARE:
        most = taken // LEAST_SNAPSHOT_SHARE
        raise UsageError(f"--levels {levels}: at most {most} with --snapshot-levels {taken}, so that deeper ones can move in")
    return taken


def _usual_snapshot_levels(venue: Venue, symbols: int, levels: int) -> int:
    is_enough = levels * LEAST_SNAPSHOT_SHARE <= FEWER_SNAPSHOT_LEVELS
    most = FEWER_SNAPSHOT_LEVELS if symbols > MANY_SYMBOLS and is_enough else MOST_SNAPSHOT_LEVELS
    return venue.usual_mirror_levels(most)


if __name__ == "__main__":
    start(main)
