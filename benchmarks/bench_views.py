"""What the wide decimals of the public views cost: the same questions to views of Decimal(76, 18) and of Decimal(38, 18).

    .venv/bin/python benchmarks/bench_views.py [--trades 2000000] [--diffs 50000] [--rounds 5]

The narrow views are made from the same schema files without their casts. They are wrong where a product passes 170 (marked
*): their time is the floor, not a choice. Both take turns on one embedded warehouse; medians, and the ratio is what counts.
"""

import re
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from report import Report, options
from tickhouse_core.settings import WarehouseSettings
from tickhouse_core.warehouse import Warehouse, connect
from transform_process.migrate import migrate, statement_that_creates

LOAD_TRADES = """
insert into silver_trades
select
    'binance', concat('S', toString(number % 20), 'USDT'), number,
    toDecimal128(60000 + (sipHash64(number) % 100000) / 100, 18), toDecimal128((sipHash64(number, 1) % 1000000) / 100000, 18),
    number % 2 = 0,
    fromUnixTimestamp64Micro(toInt64(1704067200000000 + number * 1000), 'UTC') as at, at, at, 'k', 'etag', at, number
from numbers({rows:UInt64})
"""
LOAD_DIFFS = """
insert into silver_depth_diffs
select
    'binance', 'BTCUSDT', number, number,
    arrayMap(at -> (toDecimal128(60000 + at / 100, 18), toDecimal128(at % 7, 18)), range(20)) as side, side,
    fromUnixTimestamp64Micro(toInt64(1704067200000000 + number * 100000), 'UTC') as at, at, 'k', 'etag', at, number
from numbers({rows:UInt64})
"""
QUESTIONS = (
    ("trades", "sum(quantity)", "select sum(quantity) from {}"),
    ("trades", "min(price), max(price)", "select min(price), max(price) from {}"),
    ("trades", "price > 60500", "select count() from {} where price > 60500"),
    ("trades", "sum(price * quantity) *", "select sum(price * quantity) from {}"),
    ("trades", "sum(price * quantity) by symbol *", "select symbol, sum(price * quantity) from {} group by symbol"),
    ("trades", "one symbol's last 1,000 rows", "select * from {} where symbol = 'S3USDT' order by trade_id desc limit 1000"),
    ("depth_levels", "sum(quantity) by side", "select side, sum(quantity) from {} group by side"),
    ("depth_levels", "quantity = 0", "select count() from {} where quantity = 0"),
    ("depth_diffs", "levels a side", "select avg(length(bids)) from {}"),
)

MEANS = """Time of the public view over that of the same view without its wide decimals. Wide ones keep products and sums exact;
those marked * are wrong in the narrow view."""


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--trades", type=int, default=2_000_000)
    parser.add_argument("--diffs", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    report = Report(__file__, arguments)
    with tempfile.TemporaryDirectory() as folder:
        settings = WarehouseSettings(path=Path(folder), database="bench")
        migrate(settings)
        warehouse = connect(settings)
        warehouse.command(LOAD_TRADES, {"rows": arguments.trades})
        warehouse.command(LOAD_DIFFS, {"rows": arguments.diffs})
        for view in ("trades", "depth_diffs", "depth_levels"):
            warehouse.command(_narrow(view))
        rows = []
        for view, name, sql in QUESTIONS:
            narrow, wide = _medians(warehouse, sql.format(f"narrow_{view}"), sql.format(view), arguments.rounds)
            rows.append((f"{view}: {name}", round(narrow * 1e3), round(wide * 1e3), wide / narrow))
        warehouse.close()
    title = f"Public views, milliseconds: {arguments.trades:,} trades, {40 * arguments.diffs:,} levels"
    report.table(title, ("view and question", "Decimal(38, 18)", "Decimal(76, 18)", "ratio"), rows, MEANS)
    report.finish()


def _narrow(view: str) -> str:
    """The view's own statement without the casts, under another name."""
    sql = statement_that_creates(view).replace(f"create view if not exists {view}\n", f"create view narrow_{view}\n")
    return re.sub(r"toDecimal256\((.*?), 18\)", r"\1", sql).replace("Decimal(76, 18)", "Decimal(38, 18)")


def _medians(warehouse: Warehouse, first: str, second: str, rounds: int) -> tuple[float, float]:
    def timed(sql: str) -> float:
        began = time.perf_counter()
        warehouse.query(sql)
        return time.perf_counter() - began

    turns: list[Callable[[], float]] = [lambda: timed(first), lambda: timed(second)]
    for turn in turns:
        turn()  # whatever is read for the first time
    results = [[turn() for turn in turns] for _ in range(rounds)]
    return statistics.median(one for one, _ in results), statistics.median(two for _, two in results)


if __name__ == "__main__":
    main()
