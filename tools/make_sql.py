"""`make sql`: views and checks whose parts differ in names and numbers only, written from one template each.

The files are checked in, and a test holds them.
"""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from load_process.value_checksum import HIGH_HALF, INDEX, LENGTH, NULL, PRICE, QUANTITY, constant_of, row_without_values
from tickhouse_core.datasets import DATASETS, Dataset
from tickhouse_core.resources import SQL_ROOT
from transform_process.catalog import INTERVAL_SECONDS

GENERATED = "-- Written by make sql: do not edit."

ACCOUNTING = f"""\
-- Grain: one object, by its key. Natural key: key (bronze keeps the key and not the bucket: of a key that was loaded
-- from two buckets both are named, and counted together). A view: nothing is stored, exact at any moment; it reads
-- all of bronze, or with `where key = ...` one object's rows. An object that is being loaded at this moment is in
-- bronze first: "not in ledger" is a finding only if it stays.
-- The checksum is that of load_process.value_checksum: its docstring defines it. The numbers before the words are
-- K(column), the number before them all is row_without_values(columns).
create or replace view ops_accounting_{{name}}
as
with
    {NULL} as word_of_null,
    (z1) -> bitXor(z1, bitShiftRight(z1, 30)) * 0xbf58476d1ce4e5b9 as mixed_once,
    (z2) -> bitXor(z2, bitShiftRight(z2, 27)) * 0x94d049bb133111eb as mixed_twice,
    (z3) -> bitXor(z3, bitShiftRight(z3, 31)) as mixed_thrice,
    (z) -> mixed_thrice(mixed_twice(mixed_once(z))) as finalise,
    (n) -> ifNull(toUInt64(n), word_of_null) as word_of_integer,
    (t) -> word_of_integer(toUnixTimestamp64Micro(t)) as word_of_instant,
    (d) -> reinterpret(d, 'UInt64') as low_half,
    (d) -> toUInt64(bitShiftRight(reinterpret(d, 'UInt128'), 64)) as high_half,
    (d) -> ifNull(low_half(d) + {HIGH_HALF} * high_half(d), word_of_null) as word_of_decimal,
    (price, quantity, index) -> finalise(
        {PRICE} * word_of_decimal(price) + {QUANTITY} * word_of_decimal(quantity) + {INDEX} * index
    ) as hash_of_level,
    (levels) -> {LENGTH} * length(levels) + arraySum(
        arrayMap((p, q, i) -> hash_of_level(p, q, i), levels.price, levels.quantity, arrayEnumerate(levels))
    ) as word_of_levels
select
    arrayStringConcat(arraySort(arrayFilter(name -> name != '', groupUniqArray(accounts.bucket))), ', ') as bucket,
    accounts.key as key,
    sum(accounts.versions) as versions,
    sum(accounts.footer_rows) as footer_rows,
    sum(accounts.bronze_rows) as bronze_rows,
    sum(accounts.distinct_keys) as distinct_keys,
    sum(accounts.ledger_checksum) as ledger_checksum,
    sum(accounts.bronze_checksum) as bronze_checksum,
    max(accounts.load_time) as load_time,
    multiIf(
        versions = 0, 'not in ledger',
        bronze_rows = 0 and footer_rows > 0, 'gone from bronze',
        bronze_rows < footer_rows, 'missing rows',
        bronze_rows > footer_rows, 'doubled rows',
        bronze_checksum != ledger_checksum, 'changed values',
        versions = 1 and distinct_keys < bronze_rows, 'doubled keys',
        'ok'
    ) as verdict
from (
    select
        toString(bucket) as bucket,
        key,
        1 as versions,
        rows as footer_rows,
        0 as bronze_rows,
        0 as distinct_keys,
        checksum as ledger_checksum,
        0 as bronze_checksum,
        load_time
    from ops_loaded_objects final
    where dataset = '{{name}}' and status in ('loaded', 'superseded')
    union all
    select
        '' as bucket,
        toString(object_key) as key,
        0 as versions,
        0 as footer_rows,
        count() as bronze_rows,
        uniqExact(({{natural_key}})) as distinct_keys,
        0 as ledger_checksum,
        sum(
            finalise(
                {{without_values}}
{{words}}
            )
        ) as bronze_checksum,
        max(load_time) as load_time
    from bronze_{{name}}
    group by object_key
) as accounts
group by accounts.key
comment 'Per object of {{name}}: whether bronze holds what the ledger says was loaded, row for row and value for value';
"""

ALL_ACCOUNTS = """\
-- Grain: one object of one dataset. Natural key: dataset, key. A view: nothing is stored, exact at any moment. It reads
-- all of bronze: to ask for one dataset ask ops_accounting_<dataset>.
create or replace view ops_accounting
as
select
    dataset,
    bucket,
    key,
    versions,
    footer_rows,
    bronze_rows,
    distinct_keys,
    ledger_checksum,
    bronze_checksum,
    load_time,
    verdict
from (
{parts}
) as objects
comment 'Per object of every dataset: whether bronze holds what the ledger says was loaded; verdict says what differs';
"""

OHLCV = """\
-- Grain: one symbol and {interval}. Natural key: venue, symbol, open_time. A view: exact at any moment.
create or replace view gold_ohlcv_{interval}
as
select * except (interval)
from gold_ohlcv
where interval = '{interval}'
comment 'OHLCV of {interval} with where it comes from and whether it is complete; times without a trade have no row unless a kline says so';
"""

INDICATORS = """\
-- Grain: one symbol and {interval}. Natural key: venue, symbol, open_time. A view: exact at any moment.
create or replace view gold_indicators_{interval}
as
select * except (interval, build_version)
from stored_indicators final
where interval = '{interval}'
settings do_not_merge_across_partitions_select_final = 1
comment 'Indicators on {interval} closes; null while an indicator warms up';
"""

PRICES = """\
-- Grain: one symbol and {word}. Natural key: venue, symbol, open_time. A view: exact at any moment.
create or replace view gold_price_{interval}
as
select
    venue,
    symbol,
    toDateTime64({start}(minute_time), 6, 'UTC') as open_time,
    avg(toFloat64(close)) as average_price,
    quantileExactInclusive(0.5)(toFloat64(close)) as median_price,
    count() as minutes,
    minutes = {minutes} and min(is_complete) as is_complete
from (
    select venue, symbol, open_time as minute_time, close, is_complete
    from gold_ohlcv_1m
)
group by venue, symbol, open_time
comment 'The price per {word}, made of the closes of its minutes: average, median, and how many of the {minutes} minutes there are';
"""

RETURNS = """\
-- Grain: one row of gold_ohlcv_{interval}. Natural key: venue, symbol, open_time. A view: exact at any moment.
create or replace view gold_returns_{interval}
as
select
    venue,
    symbol,
    open_time,
    price as close,
    if(dateDiff('second', time_before, open_time) = {seconds}, price / price_before - 1, null) as simple_return,
    if(dateDiff('second', time_before, open_time) = {seconds}, log(price / price_before), null) as log_return,
    is_complete and complete_before as is_complete
from (
    select
        venue,
        symbol,
        open_time,
        toFloat64(close) as price,
        is_complete,
        lagInFrame(price, 1, price) over series as price_before,
        lagInFrame(open_time) over series as time_before,
        lagInFrame(is_complete) over series as complete_before
    from gold_ohlcv_{interval}
    window series as (partition by venue, symbol order by open_time rows between unbounded preceding and current row)
) as priced
comment 'Returns from close to close; null where the {interval} before has no row';
"""


KEYS = """\
-- Offends: an object whose rows say another venue, symbol or interval than its key. The rows count as what they say themselves;
-- who reads the lake by its partitions sees them as what the key says. By load_time.
-- value: how many of its rows. No parameters.
select
    venue,
    symbol,
    min(load_time) as at,
    toFloat64(count()) as value,
    format('{{}} rows of {{}} say {{}}', toString(count()), object_key, trimRight(concat(venue, ' ', symbol, ' ', interval))) as detail
from (
{parts}
)
where decodeURLComponent(extract(object_key, '/venue=([^/]+)/')) not in ('', '__HIVE_DEFAULT_PARTITION__', venue)
    or decodeURLComponent(extract(object_key, '/symbol=([^/]+)/')) not in ('', '__HIVE_DEFAULT_PARTITION__', symbol)
    or (
        interval != ''
        and decodeURLComponent(extract(object_key, '/interval=([^/]+)/')) not in ('', '__HIVE_DEFAULT_PARTITION__', interval)
    )
group by venue, symbol, interval, object_key, object_etag
"""

LANDED = """\
    select venue, symbol, {interval}, object_key, object_etag, load_time
    from {table}
    where load_time >= {{since:DateTime64(6, 'UTC')}} and load_time < {{until:DateTime64(6, 'UTC')}}"""


def accounting() -> Iterator[str]:
    """The statements of views/accounting.sql."""
    for dataset in DATASETS:
        yield ACCOUNTING.format(
            name=dataset.name,
            natural_key=", ".join(dataset.natural_key),
            without_values=row_without_values(dataset.schema.names),
            words="\n".join(f"                + {constant_of(field.name)} * {_word(field)}" for field in dataset.schema),
        )
    yield ALL_ACCOUNTS.format(parts="\n    union all\n".join(_account_of(dataset) for dataset in DATASETS))


def interval_views() -> Iterator[str]:
    """The statements of views/intervals.sql."""
    for interval in INTERVAL_SECONDS:
        yield OHLCV.format(interval=interval)
    for interval in [interval for interval in INTERVAL_SECONDS if interval != "1s"]:
        yield INDICATORS.format(interval=interval)
    for interval, word, start in (("1h", "hour", "toStartOfHour"), ("1d", "day", "toStartOfDay")):
        yield PRICES.format(interval=interval, word=word, start=start, minutes=INTERVAL_SECONDS[interval] // 60)
    for interval in ("1m", "1h", "1d"):
        yield RETURNS.format(interval=interval, seconds=INTERVAL_SECONDS[interval])


def keys() -> Iterator[str]:
    """The statement of checks/key_says_otherwise.sql."""
    recorded = [dataset for dataset in DATASETS if dataset.channel]
    intervals = ["interval" if "interval" in dataset.schema.names else "''" for dataset in recorded]
    parts = [
        LANDED.format(interval=interval, table=dataset.bronze_table)
        for interval, dataset in zip(intervals, recorded, strict=True)
    ]
    yield KEYS.format(parts="\n    union all\n".join(parts))


FILES = {
    "views/accounting.sql": accounting,
    "views/intervals.sql": interval_views,
    "checks/key_says_otherwise.sql": keys,
}


def text_of(name: str) -> str:
    """What a generated file holds."""
    return "\n".join([GENERATED, "", *FILES[name]()])


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
