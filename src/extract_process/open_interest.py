"""The command that backfills open interest: `python -m extract_process.open_interest --symbol BTCUSDT`."""

from typing import Annotated

import typer

from extract_process.markets import named_or_active
from extract_process.venues import DEFAULT_FUTURES
from tickhouse_core.command_line import instant, one_of, with_data_folder
from tickhouse_core.lifecycle import run_command, stop_on_signals
from tickhouse_core.starting import start as start_command
from tickhouse_core.timestamps import DAY_US, now_us

PERIODS = ("5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d")
_DAYS = 29


@with_data_folder()
def main(
    symbol: Annotated[
        list[str] | None, typer.Option(help="Symbol in the venue's spelling, such as BTCUSDT; repeats. Default: ACTIVE_SYMBOLS.")
    ] = None,
    period: Annotated[str, typer.Option(help=f"Time between two rows: {', '.join(PERIODS)}.")] = "5m",
    start: Annotated[
        str | None, typer.Option(help="Since this instant, ISO 8601, UTC; default 29 days ago. The venue has 30 days.")
    ] = None,
    end: Annotated[str | None, typer.Option(help="Before this instant, ISO 8601, UTC; default now.")] = None,
    venue: Annotated[str, typer.Option(help=f"The futures market, such as {DEFAULT_FUTURES}.")] = DEFAULT_FUTURES,
    recheck: Annotated[bool, typer.Option("--recheck", help="Request everything again and report what differs.")] = False,
) -> None:
    """Complete the lake's history of open interest: requests only what was never requested."""

    def work() -> None:
        from extract_process.backfill.history import open_interest_history  # --help needs none of it
        from extract_process.backfill.history_run import run_history

        history = open_interest_history(one_of("--period", period, PERIODS))
        since = now_us() - _DAYS * DAY_US if start is None else instant("--start", start)
        until = None if end is None else instant("--end", end)
        with stop_on_signals() as stop:
            run_history(venue, history, named_or_active(symbol, venue), since, until, stop, recheck=recheck)

    run_command(work)


if __name__ == "__main__":
    start_command(main)
