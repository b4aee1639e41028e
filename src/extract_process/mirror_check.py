"""The mirror's proof for its users: `python -m extract_process.mirror_check --symbol BTCUSDT --duration 60`.

Rebuilds books from the subscription alone, keeps the venue's own books beside them, and compares after every message.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from extract_process.mirror.options import LEVELS
from extract_process.venues import DEFAULT_VENUE, venue_named, venue_names
from tickhouse_core.command_line import with_data_folder
from tickhouse_core.errors import TickhouseError
from tickhouse_core.lifecycle import run_command, stop_on_signals
from tickhouse_core.starting import start

if TYPE_CHECKING:
    from extract_process.mirror.verify import SymbolReport


@with_data_folder()
def main(
    symbol: Annotated[list[str], typer.Option(help="Symbol in the venue's spelling; repeats.")],
    duration: Annotated[float, typer.Option(min=1, help="Seconds.")] = 60.0,
    levels: Annotated[int, typer.Option(min=1, help="The --levels of the mirror.")] = LEVELS,
    venue: Annotated[str, typer.Option(help=f"The exchange: {', '.join(venue_names())}.")] = DEFAULT_VENUE,
    subscription: Annotated[str | None, typer.Option(help="Your own ordered subscription. Default: a temporary one.")] = None,
) -> None:
    """Compare the books rebuilt from Pub/Sub with the venue's, level by level, and exit 1 on a difference."""

    def work() -> None:
        from extract_process.mirror.verify import CheckOptions, run_check  # Google's client is loaded only here

        options = CheckOptions(tuple(dict.fromkeys(symbol)), levels, duration, subscription, venue_named(venue).name)
        with stop_on_signals() as stop:
            reports = run_check(options, stop)
        print_reports(reports)
        _judge(reports)

    run_command(work)


def print_reports(reports: "dict[str, SymbolReport]") -> None:
    """One line a symbol, tab-separated with a header, and the first differences."""
    names = ["snapshot", "delta", "repeated", "jump", "waiting"]
    print("symbol", *names, "equal", "different", "unmatched", sep="\t")
    for symbol, report in reports.items():
        compared = report.compared
        applied = {str(kind): count for kind, count in report.applied.items()}
        print(symbol, *(applied[name] for name in names), compared.equal, compared.different, compared.unmatched, sep="\t")
        for example in compared.examples:
            print(f"  {symbol} {example}")


def _judge(reports: "dict[str, SymbolReport]") -> None:
    wrong = [symbol for symbol, report in reports.items() if report.compared.different]
    unproven = [symbol for symbol, report in reports.items() if not report.compared.equal]
    if wrong:
        raise TickhouseError(f"the mirror's book differs from the venue's: {', '.join(wrong)}")
    if unproven:
        raise TickhouseError(f"nothing could be compared for {', '.join(unproven)}: is the mirror running for it?")


if __name__ == "__main__":
    start(main)
