"""The live capture's command: `python -m extract_process.stream --symbol BTCUSDT --symbol ETHUSDT`."""

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from extract_process.live.options import StreamOptions, give_up_order
from extract_process.markets import DEFAULT_CHANNELS, MARKETS_FILE, Markets, collected_markets
from extract_process.shards import shard_named
from extract_process.spool.limits import BatchLimits
from extract_process.venues import DEFAULT_VENUE, Venue, venue_named, venue_names
from tickhouse_core.command_line import one_of, print_figures, with_data_folder
from tickhouse_core.datasets import CHANNELS
from tickhouse_core.errors import UsageError
from tickhouse_core.lifecycle import run_command, stop_on_signals
from tickhouse_core.settings import LakeSettings, read
from tickhouse_core.starting import start

if TYPE_CHECKING:  # what records is imported when it records: --help and a wrong option need none of it
    from extract_process.live.session import CaptureReport

MOST_STREAMS = 1_024
"""On one connection, at the venue that allows most."""

_TUNING = "Tuning"
_LIMITS = BatchLimits()
_DEFAULTS = StreamOptions(wanted={})


@with_data_folder()
def main(
    symbol: Annotated[
        list[str] | None, typer.Option(help=f"In the venue's spelling; repeats. Default: ACTIVE_SYMBOLS, or {MARKETS_FILE}.")
    ] = None,
    channel: Annotated[
        list[str] | None, typer.Option(help=f"{', '.join(CHANNELS)}; repeats. Default: {', '.join(DEFAULT_CHANNELS)}.")
    ] = None,
    venue: Annotated[str, typer.Option(help=f"The exchange: {', '.join(venue_names())}.")] = DEFAULT_VENUE,
    duration: Annotated[float | None, typer.Option(min=0, help="Seconds; default until a signal.")] = None,
    instance: Annotated[str, typer.Option(help="Name of this process; two may record the same market.")] = _DEFAULTS.instance,
    shard: Annotated[
        str | None, typer.Option(help="Part of the symbols, such as 2/4: four processes with 1/4 to 4/4 have all of them.")
    ] = None,
    interval: Annotated[
        str | None, typer.Option(help=f"Of the channel klines. Default: the symbol's in {MARKETS_FILE}, or {_DEFAULTS.interval}.")
    ] = None,
    snapshot_levels: Annotated[
        int | None, typer.Option(help="Levels per side of a snapshot. Default: by venue and symbols.", rich_help_panel=_TUNING)
    ] = None,
    prove_every: Annotated[
        float, typer.Option(min=1, help="Seconds between two verifications of a book.", rich_help_panel=_TUNING)
    ] = _DEFAULTS.prove_seconds,
    poll_seconds: Annotated[
        float, typer.Option(min=1, help="Seconds between two requests of open interest, per symbol.", rich_help_panel=_TUNING)
    ] = _DEFAULTS.poll_seconds,
    batch_seconds: Annotated[
        float, typer.Option(min=0.1, help="Age at which a micro-batch becomes objects.", rich_help_panel=_TUNING)
    ] = _LIMITS.age_seconds,
    batch_mb: Annotated[
        int, typer.Option(min=1, help="Size at which a micro-batch becomes objects, in MB.", rich_help_panel=_TUNING)
    ] = _LIMITS.frame_bytes // 1024**2,
    fsync_seconds: Annotated[
        float, typer.Option(min=0.01, help="Longest time of messages that a power cut can lose.", rich_help_panel=_TUNING)
    ] = _DEFAULTS.fsync_seconds,
    spool_mb: Annotated[
        int, typer.Option(min=1, help="Size of the spool at which channels stop, in MB.", rich_help_panel=_TUNING)
    ] = _DEFAULTS.spool_bytes // 1024**2,
    give_up: Annotated[
        str,
        typer.Option(help="Channels that a full spool stops last, in that order, after all others.", rich_help_panel=_TUNING),
    ] = ",".join(_DEFAULTS.give_up_order),
    rotate_seconds: Annotated[
        float, typer.Option(min=1, help="Age at which a connection is replaced.", rich_help_panel=_TUNING)
    ] = _DEFAULTS.rotate_seconds,
    overlap_seconds: Annotated[
        float, typer.Option(min=0.1, help="Seconds during which old and new connection deliver.", rich_help_panel=_TUNING)
    ] = _DEFAULTS.overlap_seconds,
    silence_seconds: Annotated[
        float, typer.Option(min=1, help="Seconds without a byte after which a connection is closed.", rich_help_panel=_TUNING)
    ] = _DEFAULTS.silence_seconds,
    mute_seconds: Annotated[
        float,
        typer.Option(min=0.1, help="Seconds without data after which a busy connection is replaced.", rich_help_panel=_TUNING),
    ] = _DEFAULTS.mute_seconds,
    streams_per_connection: Annotated[
        int, typer.Option(min=1, max=MOST_STREAMS, help="Streams on one connection.", rich_help_panel=_TUNING)
    ] = _DEFAULTS.streams_per_connection,
    stop_seconds: Annotated[
        float, typer.Option(min=0, help="Deadline of a clean stop; what is left waits in the spool.", rich_help_panel=_TUNING)
    ] = _DEFAULTS.stop_seconds,
) -> None:  # fmt: skip
    """Record the live market until a signal: every message as Parquet, every gap with its cause."""

    def work() -> None:
        exchange = venue_named(venue)
        if snapshot_levels not in (None, *exchange.snapshot_levels):
            known = ", ".join(map(str, exchange.snapshot_levels))
            raise UsageError(f"--snapshot-levels {snapshot_levels}: choose from {known}")
        part = shard_named(shard, read(LakeSettings).cell)
        markets = _markets(exchange, symbol or [], channel or [])
        if part:
            markets = markets.only(part.part_of(venue, markets.wanted))
        options = StreamOptions(
            wanted=markets.wanted,
            venue=venue,
            instance=part.instance(instance) if part else instance,
            shard=part,
            interval=one_of("--interval", interval or _DEFAULTS.interval, exchange.intervals),
            intervals={} if interval else markets.intervals,
            priorities=markets.priorities,
            duration_seconds=duration,
            limits=BatchLimits(frame_bytes=batch_mb * 1024**2, age_seconds=batch_seconds),
            fsync_seconds=fsync_seconds,
            spool_bytes=spool_mb * 1024**2,
            give_up_order=give_up_order(_once_each(give_up)),
            snapshot_levels=snapshot_levels,
            prove_seconds=prove_every,
            poll_seconds=poll_seconds,
            rotate_seconds=rotate_seconds,
            overlap_seconds=overlap_seconds,
            silence_seconds=silence_seconds,
            mute_seconds=mute_seconds,
            streams_per_connection=streams_per_connection,
            stop_seconds=stop_seconds,
        )
        from extract_process.live.session import run_capture

        began = time.monotonic()
        with stop_on_signals() as stop:
            report = run_capture(options, stop)
        print_summary(report, time.monotonic() - began)

    run_command(work)


def print_summary(report: "CaptureReport", seconds: float) -> None:
    """What was recorded, one figure a line, on stdout."""
    counts = report.counts
    figures = {
        "frames": counts.frames,
        "bytes received": counts.frame_bytes,
        "rows landed": counts.rows,
        "gaps recorded": counts.gaps,
        "frames refused": counts.refused_frames,
        "rows not subscribed": counts.unsubscribed_rows,
        "frames discarded": counts.discarded_frames,
        "objects uploaded": report.objects_uploaded,
        "objects left in the spool": report.objects_left,
        "segments left in the spool": report.segments_left,
    }
    print_figures(figures, seconds, width=26)


def _markets(venue: Venue, symbols: list[str], channels: list[str]) -> Markets:
    chosen = tuple(dict.fromkeys(one_of("--channel", channel, venue.channels) for channel in channels))
    if symbols:
        return Markets(dict.fromkeys(symbols, chosen or DEFAULT_CHANNELS))
    markets = collected_markets(venue)
    return replace(markets, wanted=dict.fromkeys(markets.wanted, chosen)) if chosen else markets


def _once_each(text: str) -> list[str]:
    order = [one_of("--give-up", name.strip(), CHANNELS) for name in text.split(",")]
    if len(set(order)) < len(order):
        raise UsageError(f"--give-up {text!r}: name a channel once, of {', '.join(CHANNELS)}")
    return order


if __name__ == "__main__":
    start(main)
