"""The command that backfills settled funding rates: `python -m extract_process.funding --symbol BTCUSDT`."""

from typing import Annotated

import typer

from extract_process.markets import named_or_active
from extract_process.venues import DEFAULT_FUTURES
from tickhouse_core.command_line import instant, with_data_folder
from tickhouse_core.lifecycle import run_command, stop_on_signals
from tickhouse_core.starting import start as start_command


@with_data_folder()
def main(
    symbol: Annotated[
        list[str] | None, typer.Option(help="Symbol in the venue's spelling, such as BTCUSDT; repeats. Default: ACTIVE_SYMBOLS.")
    ] = None,
    start: Annotated[str, typer.Option(help="Rates since this instant, ISO 8601, UTC.")] = "2024-01-01",
    end: Annotated[str | None, typer.Option(help="Rates before this instant, ISO 8601, UTC; default now.")] = None,
    venue: Annotated[str, typer.Option(help=f"The futures market, such as {DEFAULT_FUTURES}.")] = DEFAULT_FUTURES,
    recheck: Annotated[bool, typer.Option("--recheck", help="Request everything again and report what differs.")] = False,
) -> None:
    """Complete the lake's settled funding rates: requests only what was never requested."""

    def work() -> None:
        from extract_process.backfill.history import funding_history  # --help needs none of it
        from extract_process.backfill.history_run import run_history

        since, until = instant("--start", start), None if end is None else instant("--end", end)
        with stop_on_signals() as stop:
            run_history(venue, funding_history(), named_or_active(symbol, venue), since, until, stop, recheck=recheck)

    run_command(work)


if __name__ == "__main__":
    start_command(main)
