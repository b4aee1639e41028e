"""resources/bigquery in BigQuery's own grammar, and its views and findings on the mirror's messages, run by DuckDB."""

import re
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pytest
import sqlglot
from conftest import ROOT
from sqlglot.dialects.bigquery import BigQuery
from sqlglot.expressions import Alias, Create, DataType, Expr, StartsWith

from extract_process.backfill.trade_gaps import MOST_LEFT_OUT
from extract_process.mirror.messages import TOPIC_ENDS, BookSides, BookState, Message, MessageForms
from extract_process.records import Ticker, Trade
from extract_process.venues import venue_names
from tickhouse_core.datasets import TRADES

FOLDER = ROOT / "resources" / "bigquery"
FORMS = {
    "binance": MessageForms("binance", "BTCUSDT"),
    "binance-usdm": MessageForms("binance-usdm", "BTCUSDT"),
    "kucoin": MessageForms("kucoin", "BTC-USDT"),
}
MINUTE = 60_000_000
VERY_SMALL = "0.000000012345678901"


def statements(name: str) -> list[Expr]:
    found = sqlglot.parse((FOLDER / name).read_text(encoding="utf-8"), read="bigquery")
    return [statement for statement in found if statement is not None]


def book(sequence: int, bids: Sequence[tuple[str, str]], asks: Sequence[tuple[str, str]], kind: str = "delta") -> Message:
    moment = BookState(sequence, sequence * MINUTE, sequence * MINUTE + 5)
    make = FORMS["binance"].delta if kind == "delta" else FORMS["binance"].snapshot
    return make(sequence, moment, 30, BookSides(list(bids), list(asks)))


def trade(sequence: int, trade_id: int, price: str = "2", late_us: int = 5, venue: str = "binance") -> Message:
    happened = Trade("", trade_id, price, VERY_SMALL, True, MINUTE, MINUTE)
    return FORMS[venue].trade(sequence, happened, MINUTE + late_us)


def ticker(sequence: int, close: str, high: str = "3", best_ask: str | None = None) -> Message:
    return FORMS["kucoin"].ticker(sequence, Ticker("", MINUTE, "1", high, "1", close, "1", "1", "2.5", "1", best_ask), MINUTE)


class BigQueryStandIn:
    """The tables and views, in DuckDB's words."""

    def __init__(self) -> None:
        self._duckdb = duckdb.connect()
        self._duckdb.execute("set timezone = 'UTC'")
        self._duckdb.execute("create schema crypto")
        for end in TOPIC_ENDS.values():
            for statement in statements(f"{end}.sql"):
                if statement.find(Create):
                    statement.set("properties", None)  # partitions and clusters: BigQuery's own
                self._duckdb.execute(statement.transform(_as_wide).sql("duckdb"))

    def deliver(self, channel: str, *messages: Message, venue: str = "binance", minute: int = 0) -> None:
        for message in messages:
            attributes = FORMS[venue].attributes(message)
            self._duckdb.execute(
                f"insert into crypto.{TOPIC_ENDS[channel]}_messages values ('s', 'm', make_timestamptz(?), ?, ?)",
                [minute * MINUTE, message.data.decode(), str(attributes).replace("'", '"')],
            )

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        return self._duckdb.execute(sql).fetchall()

    def findings(self) -> set[tuple[object, object]]:
        found = [self.rows(statement.sql("duckdb")) for statement in statements("quality.sql")]
        return {(row[2], row[3]) for rows in found for row in rows}


def _as_wide(node: Expr) -> Expr:
    """BIGNUMERIC has 38 decimals; DuckDB's widest number, with 18 of them, has room for what the mirror sends."""
    is_wide = isinstance(node, DataType) and node.this == DataType.Type.BIGDECIMAL
    return DataType.build("decimal(38, 18)") if is_wide else node


@pytest.fixture
def bigquery() -> BigQueryStandIn:
    return BigQueryStandIn()


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.sql")), ids=lambda path: path.name)
def test_no_name_is_a_reserved_word_and_every_column_is_described(path: Path) -> None:
    found = statements(path.name)
    names = {alias.alias.lower() for statement in found for alias in statement.find_all(Alias)}
    assert names & BigQuery.Generator.RESERVED_KEYWORDS == set()
    columns = re.search(r"create table[^(]+\((.*?)\n\)\n", path.read_text(encoding="utf-8"), re.DOTALL)
    assert all("description = '" in line for line in (columns[1].strip().splitlines() if columns else ()))


def test_the_views_have_each_message_once_with_exact_numbers(bigquery: BigQueryStandIn) -> None:
    delta = book(8, [("61837.63000000", "0"), (VERY_SMALL, "1")], [])
    bigquery.deliver("depth", delta, delta, book(9, [], [("7", "8")], "snapshot"))
    bigquery.deliver("trades", trade(1, 7), trade(1, 7), trade(2, 8))
    bigquery.deliver("ticker", ticker(1, "2.5"), ticker(1, "2.5"), venue="kucoin")
    assert bigquery.rows("select type, sequence, venue, symbol from crypto.l2 order by sequence") == [
        ("delta", 8, "binance", "BTCUSDT"),
        ("snapshot", 9, "binance", "BTCUSDT"),
    ]
    assert bigquery.rows("select sequence, side, quantity from crypto.l2_levels order by all") == [
        (8, "bid", 0),
        (8, "bid", 1),
        (9, "ask", 8),
    ]
    assert bigquery.rows("select trade_id, price, is_buyer_maker, epoch_us(trade_time) from crypto.trades order by 1") == [
        (7, 2, True, MINUTE),
        (8, 2, True, MINUTE),
    ]
    assert bigquery.rows("select symbol, open, close, best_ask_price from crypto.ticker") == [("BTC-USDT", 1, 2.5, None)]
    assert bigquery.findings() == set()


def test_every_finding_is_found(bigquery: BigQueryStandIn) -> None:
    bigquery.deliver("depth", book(1, [("5", "1")], [("6", "1")], "snapshot"), book(3, [("5", "2")], []))
    bigquery.deliver("depth", book(9, [("6", "1")], [("6", "1")], "snapshot"), book(10, [("0", "1")], []))
    bigquery.deliver("trades", trade(1, 7), trade(2, 9), trade(4, 10), trade(5, 11, "0"), trade(6, 12, late_us=-2_000_000))
    bigquery.deliver("trades", trade(1, 7, venue="kucoin"), trade(2, 9, venue="kucoin"), venue="kucoin")
    bigquery.deliver("ticker", ticker(1, "4"), ticker(2, "2"), ticker(3, "2", best_ask="2"), venue="kucoin", minute=2)
    assert bigquery.findings() == {
        ("l2_sequence_jump", 3),
        ("l2_crossed_snapshot", 9),
        ("l2_impossible_level", 10),
        ("trades_sequence_jump", 4),
        ("trades_id_gap", 9),
        ("trades_impossible", 11),
        ("trades_impossible", 12),
        ("ticker_impossible", 1),
        ("ticker_impossible", 3),
        ("l2_late", 10),
        ("trades_late", 6),
        ("trades_late", 2),
    }


def test_ids_of_futures_are_missing_where_more_lack_than_can_be_no_trades(bigquery: BigQueryStandIn) -> None:
    ids = (10, 11 + MOST_LEFT_OUT, 23 + MOST_LEFT_OUT)
    messages = [trade(place, one, venue="binance-usdm") for place, one in enumerate(ids, 1)]
    bigquery.deliver("trades", *messages, venue="binance-usdm")
    assert bigquery.findings() == {("trades_id_gap", ids[-1])}


def test_ids_are_looked_at_where_trades_are_counted_up() -> None:
    (query,) = [one for one in statements("quality.sql") if "trades_id_gap" in one.sql()]
    (asked,) = query.find_all(StartsWith)
    assert {name for name in venue_names() if name.startswith(asked.expression.this)} == TRADES.counted_at
