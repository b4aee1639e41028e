"""`make sql`: views and checks whose parts differ in names and numbers only, from one template each in tools/sql_templates.

A template's names stand in braces (str.format); the files are checked in, and a test holds them.
"""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from load_process.value_checksum import HIGH_HALF, INDEX, LENGTH, NULL, PRICE, QUANTITY, constant_of, row_without_values
from tickhouse_core.datasets import DATASETS, TRADES, Dataset
from tickhouse_core.resources import SQL_ROOT
from tickhouse_core.timestamps import INTERVAL_SECONDS

GENERATED = "-- Written by make sql: do not edit."

TEMPLATES = Path(__file__).parent / "sql_templates"

LANDED = """\
    select venue, symbol, {series}, object_key, object_etag, load_time
    from {table}
    where load_time >= {{since:DateTime64(6, 'UTC')}} and load_time < {{until:DateTime64(6, 'UTC')}}"""


def accounting() -> Iterator[str]:
    """The statements of views/accounting.sql."""
    accounts = _template("accounting")
    for dataset in DATASETS:
        yield accounts.format(
            null=NULL,
            high_half=HIGH_HALF,
            price=PRICE,
            quantity=QUANTITY,
            index=INDEX,
            length=LENGTH,
            name=dataset.name,
            natural_key=", ".join(dataset.natural_key),
            without_values=row_without_values(dataset.schema.names),
            words="\n".join(f"                + {constant_of(field.name)} * {_word(field)}" for field in dataset.schema),
        )
    yield _template("all_accounts").format(parts="\n    union all\n".join(_account_of(dataset) for dataset in DATASETS))


def interval_views() -> Iterator[str]:
    """The statements of views/intervals.sql."""
    for interval in INTERVAL_SECONDS:
        yield _template("ohlcv").format(interval=interval)
    for interval in [interval for interval in INTERVAL_SECONDS if interval != "1s"]:
        yield _template("indicators").format(interval=interval)
    for interval, word, start in (("1h", "hour", "toStartOfHour"), ("1d", "day", "toStartOfDay")):
        yield _template("prices").format(interval=interval, word=word, start=start, minutes=INTERVAL_SECONDS[interval] // 60)
    for interval in ("1m", "1h", "1d"):
        yield _template("returns").format(interval=interval, seconds=INTERVAL_SECONDS[interval])


def keys() -> Iterator[str]:
    """The statement of checks/key_says_otherwise.sql."""
    recorded = [dataset for dataset in DATASETS if dataset.channel]
    parts = [LANDED.format(series=_series(dataset), table=dataset.bronze_table) for dataset in recorded]
    yield _template("keys").format(parts="\n    union all\n".join(parts))


def _series(dataset: Dataset) -> str:
    """What tells the series of one symbol apart: a key has it by the column's name."""
    column = next(iter(dataset.series_columns), "''")
    return f"{column} as series"


def trade_id_gaps() -> Iterator[str]:
    """The statement of checks/trade_id_gaps.sql."""
    counted_at = ", ".join(f"'{venue}'" for venue in sorted(TRADES.counted_at))
    yield _template("id_gaps").format(
        ids="trade ids",
        note=" Only these venues count trades up by one; KuCoin's ids are sequence numbers with holes.",
        table="trades",
        channel="trades",
        time="trade_time",
        first_id="trade_id as first_id",
        last_id="trade_id as last_id",
        where=f" and venue in ({counted_at})",
    )


def update_id_gaps() -> Iterator[str]:
    """The statement of checks/update_id_gaps.sql."""
    yield _template("id_gaps").format(
        ids="update ids of order book diffs",
        note="",
        table="depth_diffs",
        channel="depth",
        time="event_time",
        first_id="first_update_id as first_id",
        last_id="last_update_id as last_id",
        where="",
    )


FILES = {
    "views/accounting.sql": accounting,
    "views/intervals.sql": interval_views,
    "checks/key_says_otherwise.sql": keys,
    "checks/trade_id_gaps.sql": trade_id_gaps,
    "checks/update_id_gaps.sql": update_id_gaps,
}


def text_of(name: str) -> str:
    """What a generated file holds."""
    return "\n".join([GENERATED, "", *FILES[name]()])


def _template(name: str) -> str:
    return (TEMPLATES / f"{name}.sql").read_text(encoding="utf-8")


def _word(field: pa.Field) -> str:
    """The function of the view that makes a column's word, with its argument."""
    if pa.types.is_decimal(field.type):
        return f"word_of_decimal({field.name})"
    if pa.types.is_timestamp(field.type):
        return f"word_of_instant({field.name})"
    if pa.types.is_list(field.type):
        return f"word_of_levels({field.name})"
    if pa.types.is_integer(field.type) or pa.types.is_boolean(field.type):
        return f"word_of_integer({field.name})"
    return f"xxHash64({field.name})"


def _account_of(dataset: Dataset) -> str:
    return f"    select '{dataset.name}' as dataset, * from ops_accounting_{dataset.name}"


def write(folder: Path = SQL_ROOT) -> None:
    for name in FILES:
        (folder / name).write_text(text_of(name), encoding="utf-8")


if __name__ == "__main__":
    write()
