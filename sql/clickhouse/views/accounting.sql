-- Written by make sql: do not edit.

-- Grain: one object, by its key. Natural key: key (bronze keeps the key and not the bucket: of a key that was loaded
-- from two buckets both are named, and counted together). A view: nothing is stored, exact at any moment; it reads
-- all of bronze, or with `where key = ...` one object's rows. An object that is being loaded at this moment is in
-- bronze first: "not in ledger" is a finding only if it stays.
-- The checksum is that of load_process.value_checksum: its docstring defines it. The numbers before the words are
-- K(column), the number before them all is row_without_values(columns).
create or replace view ops_accounting_klines
as
with
    4524394692449115963 as word_of_null,
    (z1) -> bitXor(z1, bitShiftRight(z1, 30)) * 0xbf58476d1ce4e5b9 as mixed_once,
    (z2) -> bitXor(z2, bitShiftRight(z2, 27)) * 0x94d049bb133111eb as mixed_twice,
    (z3) -> bitXor(z3, bitShiftRight(z3, 31)) as mixed_thrice,
    (z) -> mixed_thrice(mixed_twice(mixed_once(z))) as finalise,
    (n) -> ifNull(toUInt64(n), word_of_null) as word_of_integer,
    (t) -> word_of_integer(toUnixTimestamp64Micro(t)) as word_of_instant,
    (d) -> reinterpret(d, 'UInt64') as low_half,
    (d) -> toUInt64(bitShiftRight(reinterpret(d, 'UInt128'), 64)) as high_half,
    (d) -> ifNull(low_half(d) + 11958200198706875437 * high_half(d), word_of_null) as word_of_decimal,
    (price, quantity, index) -> finalise(
        1183823892740741339 * word_of_decimal(price) + 7396360472522283921 * word_of_decimal(quantity) + 353900778432764247 * index
    ) as hash_of_level,
    (levels) -> 14096726686150808603 * length(levels) + arraySum(
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
    where dataset = 'klines' and status in ('loaded', 'superseded')
    union all
    select
        '' as bucket,
        toString(object_key) as key,
        0 as versions,
        0 as footer_rows,
        count() as bronze_rows,
        uniqExact((venue, symbol, interval, open_time)) as distinct_keys,
        0 as ledger_checksum,
        sum(
            finalise(
                7232420388922140474
                + 1571905976656057837 * xxHash64(venue)
                + 13587974830924017133 * xxHash64(symbol)
                + 7754594830654366183 * xxHash64(interval)
                + 13266237057964004505 * word_of_instant(open_time)
                + 4189668175593464901 * word_of_instant(close_time)
                + 6653125035176381727 * word_of_decimal(open)
                + 10310934442094635935 * word_of_decimal(high)
                + 16381443146020370255 * word_of_decimal(low)
                + 1780671892284384639 * word_of_decimal(close)
                + 12822299267034917413 * word_of_decimal(volume)
                + 15467576161402121803 * word_of_decimal(quote_volume)
                + 6332693797064282937 * word_of_integer(trade_count)
                + 2660721111165894697 * word_of_decimal(taker_buy_volume)
                + 9018792943065296567 * word_of_decimal(taker_buy_quote_volume)
                + 16179816474547266379 * word_of_integer(is_closed)
                + 7963790049691206827 * xxHash64(source)
                + 17229097607759416117 * word_of_instant(receipt_time)
            )
        ) as bronze_checksum,
        max(load_time) as load_time
    from bronze_klines
    group by object_key
) as accounts
group by accounts.key
comment 'Per object of klines: whether bronze holds what the ledger says was loaded, row for row and value for value';

-- Grain: one object, by its key. Natural key: key (bronze keeps the key and not the bucket: of a key that was loaded
-- from two buckets both are named, and counted together). A view: nothing is stored, exact at any moment; it reads
-- all of bronze, or with `where key = ...` one object's rows. An object that is being loaded at this moment is in
-- bronze first: "not in ledger" is a finding only if it stays.
-- The checksum is that of load_process.value_checksum: its docstring defines it. The numbers before the words are
-- K(column), the number before them all is row_without_values(columns).
create or replace view ops_accounting_trades
as
with
    4524394692449115963 as word_of_null,
    (z1) -> bitXor(z1, bitShiftRight(z1, 30)) * 0xbf58476d1ce4e5b9 as mixed_once,
    (z2) -> bitXor(z2, bitShiftRight(z2, 27)) * 0x94d049bb133111eb as mixed_twice,
    (z3) -> bitXor(z3, bitShiftRight(z3, 31)) as mixed_thrice,
    (z) -> mixed_thrice(mixed_twice(mixed_once(z))) as finalise,
    (n) -> ifNull(toUInt64(n), word_of_null) as word_of_integer,
    (t) -> word_of_integer(toUnixTimestamp64Micro(t)) as word_of_instant,
    (d) -> reinterpret(d, 'UInt64') as low_half,
    (d) -> toUInt64(bitShiftRight(reinterpret(d, 'UInt128'), 64)) as high_half,
    (d) -> ifNull(low_half(d) + 11958200198706875437 * high_half(d), word_of_null) as word_of_decimal,
    (price, quantity, index) -> finalise(
        1183823892740741339 * word_of_decimal(price) + 7396360472522283921 * word_of_decimal(quantity) + 353900778432764247 * index
    ) as hash_of_level,
    (levels) -> 14096726686150808603 * length(levels) + arraySum(
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
    where dataset = 'trades' and status in ('loaded', 'superseded')
    union all
    select
        '' as bucket,
        toString(object_key) as key,
        0 as versions,
        0 as footer_rows,
        count() as bronze_rows,
        uniqExact((venue, symbol, trade_id)) as distinct_keys,
        0 as ledger_checksum,
        sum(
            finalise(
                16640896576684539660
                + 1571905976656057837 * xxHash64(venue)
                + 13587974830924017133 * xxHash64(symbol)
                + 1560556637066127975 * word_of_integer(trade_id)
                + 1183823892740741339 * word_of_decimal(price)
                + 7396360472522283921 * word_of_decimal(quantity)
                + 10843822106623081945 * word_of_integer(is_buyer_maker)
                + 10392387695919591425 * word_of_instant(trade_time)
                + 14635155670171432909 * word_of_instant(event_time)
                + 17229097607759416117 * word_of_instant(receipt_time)
            )
        ) as bronze_checksum,
        max(load_time) as load_time
    from bronze_trades
    group by object_key
) as accounts
group by accounts.key
comment 'Per object of trades: whether bronze holds what the ledger says was loaded, row for row and value for value';

-- Grain: one object, by its key. Natural key: key (bronze keeps the key and not the bucket: of a key that was loaded
-- from two buckets both are named, and counted together). A view: nothing is stored, exact at any moment; it reads
-- all of bronze, or with `where key = ...` one object's rows. An object that is being loaded at this moment is in
-- bronze first: "not in ledger" is a finding only if it stays.
-- The checksum is that of load_process.value_checksum: its docstring defines it. The numbers before the words are
-- K(column), the number before them all is row_without_values(columns).
create or replace view ops_accounting_agg_trades
as
with
    4524394692449115963 as word_of_null,
    (z1) -> bitXor(z1, bitShiftRight(z1, 30)) * 0xbf58476d1ce4e5b9 as mixed_once,
    (z2) -> bitXor(z2, bitShiftRight(z2, 27)) * 0x94d049bb133111eb as mixed_twice,
    (z3) -> bitXor(z3, bitShiftRight(z3, 31)) as mixed_thrice,
    (z) -> mixed_thrice(mixed_twice(mixed_once(z))) as finalise,
    (n) -> ifNull(toUInt64(n), word_of_null) as word_of_integer,
    (t) -> word_of_integer(toUnixTimestamp64Micro(t)) as word_of_instant,
    (d) -> reinterpret(d, 'UInt64') as low_half,
    (d) -> toUInt64(bitShiftRight(reinterpret(d, 'UInt128'), 64)) as high_half,
    (d) -> ifNull(low_half(d) + 11958200198706875437 * high_half(d), word_of_null) as word_of_decimal,
    (price, quantity, index) -> finalise(
        1183823892740741339 * word_of_decimal(price) + 7396360472522283921 * word_of_decimal(quantity) + 353900778432764247 * index
    ) as hash_of_level,
    (levels) -> 14096726686150808603 * length(levels) + arraySum(
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
    where dataset = 'agg_trades' and status in ('loaded', 'superseded')
    union all
    select
        '' as bucket,
        toString(object_key) as key,
        0 as versions,
        0 as footer_rows,
        count() as bronze_rows,
        uniqExact((venue, symbol, agg_trade_id)) as distinct_keys,
        0 as ledger_checksum,
        sum(
            finalise(
                6328215372512671225
                + 1571905976656057837 * xxHash64(venue)
                + 13587974830924017133 * xxHash64(symbol)
                + 9898655727097952431 * word_of_integer(agg_trade_id)
                + 1183823892740741339 * word_of_decimal(price)
                + 7396360472522283921 * word_of_decimal(quantity)
                + 6486698221837739465 * word_of_integer(first_trade_id)
                + 191810055828034501 * word_of_integer(last_trade_id)
                + 10843822106623081945 * word_of_integer(is_buyer_maker)
                + 10392387695919591425 * word_of_instant(trade_time)
                + 17229097607759416117 * word_of_instant(receipt_time)
            )
        ) as bronze_checksum,
        max(load_time) as load_time
    from bronze_agg_trades
    group by object_key
) as accounts
group by accounts.key
comment 'Per object of agg_trades: whether bronze holds what the ledger says was loaded, row for row and value for value';

-- Grain: one object, by its key. Natural key: key (bronze keeps the key and not the bucket: of a key that was loaded
-- from two buckets both are named, and counted together). A view: nothing is stored, exact at any moment; it reads
-- all of bronze, or with `where key = ...` one object's rows. An object that is being loaded at this moment is in
-- bronze first: "not in ledger" is a finding only if it stays.
-- The checksum is that of load_process.value_checksum: its docstring defines it. The numbers before the words are
-- K(column), the number before them all is row_without_values(columns).
create or replace view ops_accounting_depth_diffs
as
with
    4524394692449115963 as word_of_null,
    (z1) -> bitXor(z1, bitShiftRight(z1, 30)) * 0xbf58476d1ce4e5b9 as mixed_once,
    (z2) -> bitXor(z2, bitShiftRight(z2, 27)) * 0x94d049bb133111eb as mixed_twice,
    (z3) -> bitXor(z3, bitShiftRight(z3, 31)) as mixed_thrice,
    (z) -> mixed_thrice(mixed_twice(mixed_once(z))) as finalise,
    (n) -> ifNull(toUInt64(n), word_of_null) as word_of_integer,
    (t) -> word_of_integer(toUnixTimestamp64Micro(t)) as word_of_instant,
    (d) -> reinterpret(d, 'UInt64') as low_half,
    (d) -> toUInt64(bitShiftRight(reinterpret(d, 'UInt128'), 64)) as high_half,
    (d) -> ifNull(low_half(d) + 11958200198706875437 * high_half(d), word_of_null) as word_of_decimal,
    (price, quantity, index) -> finalise(
        1183823892740741339 * word_of_decimal(price) + 7396360472522283921 * word_of_decimal(quantity) + 353900778432764247 * index
    ) as hash_of_level,
    (levels) -> 14096726686150808603 * length(levels) + arraySum(
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
    where dataset = 'depth_diffs' and status in ('loaded', 'superseded')
    union all
    select
        '' as bucket,
        toString(object_key) as key,
        0 as versions,
        0 as footer_rows,
        count() as bronze_rows,
        uniqExact((venue, symbol, last_update_id)) as distinct_keys,
        0 as ledger_checksum,
        sum(
            finalise(
                2702936187810339853
                + 1571905976656057837 * xxHash64(venue)
                + 13587974830924017133 * xxHash64(symbol)
                + 3152554730829803959 * word_of_integer(first_update_id)
                + 445123379674157985 * word_of_integer(last_update_id)
                + 11618397495020547765 * word_of_levels(bids)
                + 14960060138521096109 * word_of_levels(asks)
                + 14635155670171432909 * word_of_instant(event_time)
                + 17229097607759416117 * word_of_instant(receipt_time)
            )
        ) as bronze_checksum,
        max(load_time) as load_time
    from bronze_depth_diffs
    group by object_key
) as accounts
group by accounts.key
comment 'Per object of depth_diffs: whether bronze holds what the ledger says was loaded, row for row and value for value';

-- Grain: one object, by its key. Natural key: key (bronze keeps the key and not the bucket: of a key that was loaded
-- from two buckets both are named, and counted together). A view: nothing is stored, exact at any moment; it reads
-- all of bronze, or with `where key = ...` one object's rows. An object that is being loaded at this moment is in
-- bronze first: "not in ledger" is a finding only if it stays.
-- The checksum is that of load_process.value_checksum: its docstring defines it. The numbers before the words are
-- K(column), the number before them all is row_without_values(columns).
create or replace view ops_accounting_depth_snapshots
as
with
    4524394692449115963 as word_of_null,
    (z1) -> bitXor(z1, bitShiftRight(z1, 30)) * 0xbf58476d1ce4e5b9 as mixed_once,
    (z2) -> bitXor(z2, bitShiftRight(z2, 27)) * 0x94d049bb133111eb as mixed_twice,
    (z3) -> bitXor(z3, bitShiftRight(z3, 31)) as mixed_thrice,
    (z) -> mixed_thrice(mixed_twice(mixed_once(z))) as finalise,
    (n) -> ifNull(toUInt64(n), word_of_null) as word_of_integer,
    (t) -> word_of_integer(toUnixTimestamp64Micro(t)) as word_of_instant,
    (d) -> reinterpret(d, 'UInt64') as low_half,
    (d) -> toUInt64(bitShiftRight(reinterpret(d, 'UInt128'), 64)) as high_half,
    (d) -> ifNull(low_half(d) + 11958200198706875437 * high_half(d), word_of_null) as word_of_decimal,
    (price, quantity, index) -> finalise(
        1183823892740741339 * word_of_decimal(price) + 7396360472522283921 * word_of_decimal(quantity) + 353900778432764247 * index
    ) as hash_of_level,
    (levels) -> 14096726686150808603 * length(levels) + arraySum(
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
    where dataset = 'depth_snapshots' and status in ('loaded', 'superseded')
    union all
    select
        '' as bucket,
        toString(object_key) as key,
        0 as versions,
        0 as footer_rows,
        count() as bronze_rows,
        uniqExact((venue, symbol, last_update_id)) as distinct_keys,
        0 as ledger_checksum,
        sum(
            finalise(
                3778395268504520712
                + 1571905976656057837 * xxHash64(venue)
                + 13587974830924017133 * xxHash64(symbol)
                + 445123379674157985 * word_of_integer(last_update_id)
                + 11618397495020547765 * word_of_levels(bids)
                + 14960060138521096109 * word_of_levels(asks)
                + 14158583134952443715 * xxHash64(reason)
                + 17229097607759416117 * word_of_instant(receipt_time)
            )
        ) as bronze_checksum,
        max(load_time) as load_time
    from bronze_depth_snapshots
    group by object_key
) as accounts
group by accounts.key
comment 'Per object of depth_snapshots: whether bronze holds what the ledger says was loaded, row for row and value for value';

-- Grain: one object, by its key. Natural key: key (bronze keeps the key and not the bucket: of a key that was loaded
-- from two buckets both are named, and counted together). A view: nothing is stored, exact at any moment; it reads
-- all of bronze, or with `where key = ...` one object's rows. An object that is being loaded at this moment is in
-- bronze first: "not in ledger" is a finding only if it stays.
-- The checksum is that of load_process.value_checksum: its docstring defines it. The numbers before the words are
-- K(column), the number before them all is row_without_values(columns).
create or replace view ops_accounting_tickers
as
with
    4524394692449115963 as word_of_null,
    (z1) -> bitXor(z1, bitShiftRight(z1, 30)) * 0xbf58476d1ce4e5b9 as mixed_once,
    (z2) -> bitXor(z2, bitShiftRight(z2, 27)) * 0x94d049bb133111eb as mixed_twice,
    (z3) -> bitXor(z3, bitShiftRight(z3, 31)) as mixed_thrice,
    (z) -> mixed_thrice(mixed_twice(mixed_once(z))) as finalise,
    (n) -> ifNull(toUInt64(n), word_of_null) as word_of_integer,
    (t) -> word_of_integer(toUnixTimestamp64Micro(t)) as word_of_instant,
    (d) -> reinterpret(d, 'UInt64') as low_half,
    (d) -> toUInt64(bitShiftRight(reinterpret(d, 'UInt128'), 64)) as high_half,
    (d) -> ifNull(low_half(d) + 11958200198706875437 * high_half(d), word_of_null) as word_of_decimal,
    (price, quantity, index) -> finalise(
        1183823892740741339 * word_of_decimal(price) + 7396360472522283921 * word_of_decimal(quantity) + 353900778432764247 * index
    ) as hash_of_level,
    (levels) -> 14096726686150808603 * length(levels) + arraySum(
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
    where dataset = 'tickers' and status in ('loaded', 'superseded')
    union all
    select
        '' as bucket,
        toString(object_key) as key,
        0 as versions,
        0 as footer_rows,
        count() as bronze_rows,
        uniqExact((venue, symbol, event_time)) as distinct_keys,
        0 as ledger_checksum,
        sum(
            finalise(
                16798022320832441609
                + 1571905976656057837 * xxHash64(venue)
                + 13587974830924017133 * xxHash64(symbol)
                + 14635155670171432909 * word_of_instant(event_time)
                + 17229097607759416117 * word_of_instant(receipt_time)
                + 6653125035176381727 * word_of_decimal(open)
                + 10310934442094635935 * word_of_decimal(high)
                + 16381443146020370255 * word_of_decimal(low)
                + 1780671892284384639 * word_of_decimal(close)
                + 12822299267034917413 * word_of_decimal(volume)
                + 15467576161402121803 * word_of_decimal(quote_volume)
                + 18365793026506744841 * word_of_decimal(best_bid_price)
                + 16669006529964479239 * word_of_decimal(best_bid_quantity)
                + 12267831737257801841 * word_of_decimal(best_ask_price)
                + 12955035152323095305 * word_of_decimal(best_ask_quantity)
            )
        ) as bronze_checksum,
        max(load_time) as load_time
    from bronze_tickers
    group by object_key
) as accounts
group by accounts.key
comment 'Per object of tickers: whether bronze holds what the ledger says was loaded, row for row and value for value';

-- Grain: one object, by its key. Natural key: key (bronze keeps the key and not the bucket: of a key that was loaded
-- from two buckets both are named, and counted together). A view: nothing is stored, exact at any moment; it reads
-- all of bronze, or with `where key = ...` one object's rows. An object that is being loaded at this moment is in
-- bronze first: "not in ledger" is a finding only if it stays.
-- The checksum is that of load_process.value_checksum: its docstring defines it. The numbers before the words are
-- K(column), the number before them all is row_without_values(columns).
create or replace view ops_accounting_book_tickers
as
with
    4524394692449115963 as word_of_null,
    (z1) -> bitXor(z1, bitShiftRight(z1, 30)) * 0xbf58476d1ce4e5b9 as mixed_once,
    (z2) -> bitXor(z2, bitShiftRight(z2, 27)) * 0x94d049bb133111eb as mixed_twice,
    (z3) -> bitXor(z3, bitShiftRight(z3, 31)) as mixed_thrice,
    (z) -> mixed_thrice(mixed_twice(mixed_once(z))) as finalise,
    (n) -> ifNull(toUInt64(n), word_of_null) as word_of_integer,
    (t) -> word_of_integer(toUnixTimestamp64Micro(t)) as word_of_instant,
    (d) -> reinterpret(d, 'UInt64') as low_half,
    (d) -> toUInt64(bitShiftRight(reinterpret(d, 'UInt128'), 64)) as high_half,
    (d) -> ifNull(low_half(d) + 11958200198706875437 * high_half(d), word_of_null) as word_of_decimal,
    (price, quantity, index) -> finalise(
        1183823892740741339 * word_of_decimal(price) + 7396360472522283921 * word_of_decimal(quantity) + 353900778432764247 * index
    ) as hash_of_level,
    (levels) -> 14096726686150808603 * length(levels) + arraySum(
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
    where dataset = 'book_tickers' and status in ('loaded', 'superseded')
    union all
    select
        '' as bucket,
        toString(object_key) as key,
        0 as versions,
        0 as footer_rows,
        count() as bronze_rows,
        uniqExact((venue, symbol, update_id)) as distinct_keys,
        0 as ledger_checksum,
        sum(
            finalise(
                8259183376253272538
                + 1571905976656057837 * xxHash64(venue)
                + 13587974830924017133 * xxHash64(symbol)
                + 5406592185857000277 * word_of_integer(update_id)
                + 771372980858904685 * word_of_decimal(bid_price)
                + 14921556640066614303 * word_of_decimal(bid_quantity)
                + 14736850607468179831 * word_of_decimal(ask_price)
                + 7091665167388462027 * word_of_decimal(ask_quantity)
                + 14635155670171432909 * word_of_instant(event_time)
                + 17229097607759416117 * word_of_instant(receipt_time)
            )
        ) as bronze_checksum,
        max(load_time) as load_time
    from bronze_book_tickers
    group by object_key
) as accounts
group by accounts.key
comment 'Per object of book_tickers: whether bronze holds what the ledger says was loaded, row for row and value for value';

-- Grain: one object, by its key. Natural key: key (bronze keeps the key and not the bucket: of a key that was loaded
-- from two buckets both are named, and counted together). A view: nothing is stored, exact at any moment; it reads
-- all of bronze, or with `where key = ...` one object's rows. An object that is being loaded at this moment is in
-- bronze first: "not in ledger" is a finding only if it stays.
-- The checksum is that of load_process.value_checksum: its docstring defines it. The numbers before the words are
-- K(column), the number before them all is row_without_values(columns).
create or replace view ops_accounting_mark_prices
as
with
    4524394692449115963 as word_of_null,
    (z1) -> bitXor(z1, bitShiftRight(z1, 30)) * 0xbf58476d1ce4e5b9 as mixed_once,
    (z2) -> bitXor(z2, bitShiftRight(z2, 27)) * 0x94d049bb133111eb as mixed_twice,
    (z3) -> bitXor(z3, bitShiftRight(z3, 31)) as mixed_thrice,
    (z) -> mixed_thrice(mixed_twice(mixed_once(z))) as finalise,
    (n) -> ifNull(toUInt64(n), word_of_null) as word_of_integer,
    (t) -> word_of_integer(toUnixTimestamp64Micro(t)) as word_of_instant,
    (d) -> reinterpret(d, 'UInt64') as low_half,
    (d) -> toUInt64(bitShiftRight(reinterpret(d, 'UInt128'), 64)) as high_half,
    (d) -> ifNull(low_half(d) + 11958200198706875437 * high_half(d), word_of_null) as word_of_decimal,
    (price, quantity, index) -> finalise(
        1183823892740741339 * word_of_decimal(price) + 7396360472522283921 * word_of_decimal(quantity) + 353900778432764247 * index
    ) as hash_of_level,
    (levels) -> 14096726686150808603 * length(levels) + arraySum(
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
    where dataset = 'mark_prices' and status in ('loaded', 'superseded')
    union all
    select
        '' as bucket,
        toString(object_key) as key,
        0 as versions,
        0 as footer_rows,
        count() as bronze_rows,
        uniqExact((venue, symbol, event_time)) as distinct_keys,
        0 as ledger_checksum,
        sum(
            finalise(
                8949816274326621030
                + 1571905976656057837 * xxHash64(venue)
                + 13587974830924017133 * xxHash64(symbol)
                + 14635155670171432909 * word_of_instant(event_time)
                + 12212070934189677241 * word_of_decimal(mark_price)
                + 3890161009515256675 * word_of_decimal(index_price)
                + 5303532192070039117 * word_of_decimal(settle_price)
                + 4342416472370078045 * word_of_decimal(funding_rate)
                + 15498445745714916217 * word_of_instant(next_funding_time)
                + 17229097607759416117 * word_of_instant(receipt_time)
            )
        ) as bronze_checksum,
        max(load_time) as load_time
    from bronze_mark_prices
    group by object_key
) as accounts
group by accounts.key
comment 'Per object of mark_prices: whether bronze holds what the ledger says was loaded, row for row and value for value';

-- Grain: one object, by its key. Natural key: key (bronze keeps the key and not the bucket: of a key that was loaded
-- from two buckets both are named, and counted together). A view: nothing is stored, exact at any moment; it reads
-- all of bronze, or with `where key = ...` one object's rows. An object that is being loaded at this moment is in
-- bronze first: "not in ledger" is a finding only if it stays.
-- The checksum is that of load_process.value_checksum: its docstring defines it. The numbers before the words are
-- K(column), the number before them all is row_without_values(columns).
create or replace view ops_accounting_funding_rates
as
with
    4524394692449115963 as word_of_null,
    (z1) -> bitXor(z1, bitShiftRight(z1, 30)) * 0xbf58476d1ce4e5b9 as mixed_once,
    (z2) -> bitXor(z2, bitShiftRight(z2, 27)) * 0x94d049bb133111eb as mixed_twice,
    (z3) -> bitXor(z3, bitShiftRight(z3, 31)) as mixed_thrice,
    (z) -> mixed_thrice(mixed_twice(mixed_once(z))) as finalise,
    (n) -> ifNull(toUInt64(n), word_of_null) as word_of_integer,
    (t) -> word_of_integer(toUnixTimestamp64Micro(t)) as word_of_instant,
    (d) -> reinterpret(d, 'UInt64') as low_half,
    (d) -> toUInt64(bitShiftRight(reinterpret(d, 'UInt128'), 64)) as high_half,
    (d) -> ifNull(low_half(d) + 11958200198706875437 * high_half(d), word_of_null) as word_of_decimal,
    (price, quantity, index) -> finalise(
        1183823892740741339 * word_of_decimal(price) + 7396360472522283921 * word_of_decimal(quantity) + 353900778432764247 * index
    ) as hash_of_level,
    (levels) -> 14096726686150808603 * length(levels) + arraySum(
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
    where dataset = 'funding_rates' and status in ('loaded', 'superseded')
    union all
    select
        '' as bucket,
        toString(object_key) as key,
        0 as versions,
        0 as footer_rows,
        count() as bronze_rows,
        uniqExact((venue, symbol, funding_time)) as distinct_keys,
        0 as ledger_checksum,
        sum(
            finalise(
                9468627943507739923
                + 1571905976656057837 * xxHash64(venue)
                + 13587974830924017133 * xxHash64(symbol)
                + 7060540426239781055 * word_of_instant(funding_time)
                + 4342416472370078045 * word_of_decimal(funding_rate)
                + 12212070934189677241 * word_of_decimal(mark_price)
                + 17229097607759416117 * word_of_instant(receipt_time)
            )
        ) as bronze_checksum,
        max(load_time) as load_time
    from bronze_funding_rates
    group by object_key
) as accounts
group by accounts.key
comment 'Per object of funding_rates: whether bronze holds what the ledger says was loaded, row for row and value for value';

-- Grain: one object, by its key. Natural key: key (bronze keeps the key and not the bucket: of a key that was loaded
-- from two buckets both are named, and counted together). A view: nothing is stored, exact at any moment; it reads
-- all of bronze, or with `where key = ...` one object's rows. An object that is being loaded at this moment is in
-- bronze first: "not in ledger" is a finding only if it stays.
-- The checksum is that of load_process.value_checksum: its docstring defines it. The numbers before the words are
-- K(column), the number before them all is row_without_values(columns).
create or replace view ops_accounting_open_interest
as
with
    4524394692449115963 as word_of_null,
    (z1) -> bitXor(z1, bitShiftRight(z1, 30)) * 0xbf58476d1ce4e5b9 as mixed_once,
    (z2) -> bitXor(z2, bitShiftRight(z2, 27)) * 0x94d049bb133111eb as mixed_twice,
    (z3) -> bitXor(z3, bitShiftRight(z3, 31)) as mixed_thrice,
    (z) -> mixed_thrice(mixed_twice(mixed_once(z))) as finalise,
    (n) -> ifNull(toUInt64(n), word_of_null) as word_of_integer,
    (t) -> word_of_integer(toUnixTimestamp64Micro(t)) as word_of_instant,
    (d) -> reinterpret(d, 'UInt64') as low_half,
    (d) -> toUInt64(bitShiftRight(reinterpret(d, 'UInt128'), 64)) as high_half,
    (d) -> ifNull(low_half(d) + 11958200198706875437 * high_half(d), word_of_null) as word_of_decimal,
    (price, quantity, index) -> finalise(
        1183823892740741339 * word_of_decimal(price) + 7396360472522283921 * word_of_decimal(quantity) + 353900778432764247 * index
    ) as hash_of_level,
    (levels) -> 14096726686150808603 * length(levels) + arraySum(
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
    where dataset = 'open_interest' and status in ('loaded', 'superseded')
    union all
    select
        '' as bucket,
        toString(object_key) as key,
        0 as versions,
        0 as footer_rows,
        count() as bronze_rows,
        uniqExact((venue, symbol, period, event_time)) as distinct_keys,
        0 as ledger_checksum,
        sum(
            finalise(
                14316951684012267553
                + 1571905976656057837 * xxHash64(venue)
                + 13587974830924017133 * xxHash64(symbol)
                + 15150931981123844319 * xxHash64(period)
                + 14635155670171432909 * word_of_instant(event_time)
                + 18340437802218290511 * word_of_decimal(open_interest)
                + 3440532002003193317 * word_of_decimal(open_interest_value)
                + 7963790049691206827 * xxHash64(source)
                + 17229097607759416117 * word_of_instant(receipt_time)
            )
        ) as bronze_checksum,
        max(load_time) as load_time
    from bronze_open_interest
    group by object_key
) as accounts
group by accounts.key
comment 'Per object of open_interest: whether bronze holds what the ledger says was loaded, row for row and value for value';

-- Grain: one object, by its key. Natural key: key (bronze keeps the key and not the bucket: of a key that was loaded
-- from two buckets both are named, and counted together). A view: nothing is stored, exact at any moment; it reads
-- all of bronze, or with `where key = ...` one object's rows. An object that is being loaded at this moment is in
-- bronze first: "not in ledger" is a finding only if it stays.
-- The checksum is that of load_process.value_checksum: its docstring defines it. The numbers before the words are
-- K(column), the number before them all is row_without_values(columns).
create or replace view ops_accounting_liquidations
as
with
    4524394692449115963 as word_of_null,
    (z1) -> bitXor(z1, bitShiftRight(z1, 30)) * 0xbf58476d1ce4e5b9 as mixed_once,
    (z2) -> bitXor(z2, bitShiftRight(z2, 27)) * 0x94d049bb133111eb as mixed_twice,
    (z3) -> bitXor(z3, bitShiftRight(z3, 31)) as mixed_thrice,
    (z) -> mixed_thrice(mixed_twice(mixed_once(z))) as finalise,
    (n) -> ifNull(toUInt64(n), word_of_null) as word_of_integer,
    (t) -> word_of_integer(toUnixTimestamp64Micro(t)) as word_of_instant,
    (d) -> reinterpret(d, 'UInt64') as low_half,
    (d) -> toUInt64(bitShiftRight(reinterpret(d, 'UInt128'), 64)) as high_half,
    (d) -> ifNull(low_half(d) + 11958200198706875437 * high_half(d), word_of_null) as word_of_decimal,
    (price, quantity, index) -> finalise(
        1183823892740741339 * word_of_decimal(price) + 7396360472522283921 * word_of_decimal(quantity) + 353900778432764247 * index
    ) as hash_of_level,
    (levels) -> 14096726686150808603 * length(levels) + arraySum(
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
    where dataset = 'liquidations' and status in ('loaded', 'superseded')
    union all
    select
        '' as bucket,
        toString(object_key) as key,
        0 as versions,
        0 as footer_rows,
        count() as bronze_rows,
        uniqExact((venue, symbol, liquidation_id)) as distinct_keys,
        0 as ledger_checksum,
        sum(
            finalise(
                9706884253360336678
                + 1571905976656057837 * xxHash64(venue)
                + 13587974830924017133 * xxHash64(symbol)
                + 8566137963368650559 * word_of_integer(liquidation_id)
                + 12699835791067075143 * xxHash64(side)
                + 11333998105905099331 * xxHash64(order_type)
                + 10272263221771132179 * xxHash64(time_in_force)
                + 14285895487915179233 * xxHash64(status)
                + 7396360472522283921 * word_of_decimal(quantity)
                + 1183823892740741339 * word_of_decimal(price)
                + 2552593589754450559 * word_of_decimal(average_price)
                + 11647266072785355767 * word_of_decimal(last_filled_quantity)
                + 16700407670891534687 * word_of_decimal(filled_quantity)
                + 10392387695919591425 * word_of_instant(trade_time)
                + 14635155670171432909 * word_of_instant(event_time)
                + 17229097607759416117 * word_of_instant(receipt_time)
            )
        ) as bronze_checksum,
        max(load_time) as load_time
    from bronze_liquidations
    group by object_key
) as accounts
group by accounts.key
comment 'Per object of liquidations: whether bronze holds what the ledger says was loaded, row for row and value for value';

-- Grain: one object, by its key. Natural key: key (bronze keeps the key and not the bucket: of a key that was loaded
-- from two buckets both are named, and counted together). A view: nothing is stored, exact at any moment; it reads
-- all of bronze, or with `where key = ...` one object's rows. An object that is being loaded at this moment is in
-- bronze first: "not in ledger" is a finding only if it stays.
-- The checksum is that of load_process.value_checksum: its docstring defines it. The numbers before the words are
-- K(column), the number before them all is row_without_values(columns).
create or replace view ops_accounting_stream_events
as
with
    4524394692449115963 as word_of_null,
    (z1) -> bitXor(z1, bitShiftRight(z1, 30)) * 0xbf58476d1ce4e5b9 as mixed_once,
    (z2) -> bitXor(z2, bitShiftRight(z2, 27)) * 0x94d049bb133111eb as mixed_twice,
    (z3) -> bitXor(z3, bitShiftRight(z3, 31)) as mixed_thrice,
    (z) -> mixed_thrice(mixed_twice(mixed_once(z))) as finalise,
    (n) -> ifNull(toUInt64(n), word_of_null) as word_of_integer,
    (t) -> word_of_integer(toUnixTimestamp64Micro(t)) as word_of_instant,
    (d) -> reinterpret(d, 'UInt64') as low_half,
    (d) -> toUInt64(bitShiftRight(reinterpret(d, 'UInt128'), 64)) as high_half,
    (d) -> ifNull(low_half(d) + 11958200198706875437 * high_half(d), word_of_null) as word_of_decimal,
    (price, quantity, index) -> finalise(
        1183823892740741339 * word_of_decimal(price) + 7396360472522283921 * word_of_decimal(quantity) + 353900778432764247 * index
    ) as hash_of_level,
    (levels) -> 14096726686150808603 * length(levels) + arraySum(
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
    where dataset = 'stream_events' and status in ('loaded', 'superseded')
    union all
    select
        '' as bucket,
        toString(object_key) as key,
        0 as versions,
        0 as footer_rows,
        count() as bronze_rows,
        uniqExact((venue, symbol, channel, instance, event, started_at, from_update_id, to_update_id, detail)) as distinct_keys,
        0 as ledger_checksum,
        sum(
            finalise(
                3901684858699699442
                + 1571905976656057837 * xxHash64(venue)
                + 13587974830924017133 * xxHash64(symbol)
                + 14854624351672815261 * xxHash64(channel)
                + 7347527998812836493 * xxHash64(instance)
                + 11407388732955042603 * xxHash64(event)
                + 9439525307422290603 * word_of_integer(from_update_id)
                + 10791089339775648719 * word_of_integer(to_update_id)
                + 16763637717355974729 * word_of_instant(started_at)
                + 7941396106847247407 * word_of_instant(ended_at)
                + 16669240206176976643 * xxHash64(cause)
                + 9969222536919136787 * xxHash64(detail)
            )
        ) as bronze_checksum,
        max(load_time) as load_time
    from bronze_stream_events
    group by object_key
) as accounts
group by accounts.key
comment 'Per object of stream_events: whether bronze holds what the ledger says was loaded, row for row and value for value';

-- Grain: one object, by its key. Natural key: key (bronze keeps the key and not the bucket: of a key that was loaded
-- from two buckets both are named, and counted together). A view: nothing is stored, exact at any moment; it reads
-- all of bronze, or with `where key = ...` one object's rows. An object that is being loaded at this moment is in
-- bronze first: "not in ledger" is a finding only if it stays.
-- The checksum is that of load_process.value_checksum: its docstring defines it. The numbers before the words are
-- K(column), the number before them all is row_without_values(columns).
create or replace view ops_accounting_heartbeats
as
with
    4524394692449115963 as word_of_null,
    (z1) -> bitXor(z1, bitShiftRight(z1, 30)) * 0xbf58476d1ce4e5b9 as mixed_once,
    (z2) -> bitXor(z2, bitShiftRight(z2, 27)) * 0x94d049bb133111eb as mixed_twice,
    (z3) -> bitXor(z3, bitShiftRight(z3, 31)) as mixed_thrice,
    (z) -> mixed_thrice(mixed_twice(mixed_once(z))) as finalise,
    (n) -> ifNull(toUInt64(n), word_of_null) as word_of_integer,
    (t) -> word_of_integer(toUnixTimestamp64Micro(t)) as word_of_instant,
    (d) -> reinterpret(d, 'UInt64') as low_half,
    (d) -> toUInt64(bitShiftRight(reinterpret(d, 'UInt128'), 64)) as high_half,
    (d) -> ifNull(low_half(d) + 11958200198706875437 * high_half(d), word_of_null) as word_of_decimal,
    (price, quantity, index) -> finalise(
        1183823892740741339 * word_of_decimal(price) + 7396360472522283921 * word_of_decimal(quantity) + 353900778432764247 * index
    ) as hash_of_level,
    (levels) -> 14096726686150808603 * length(levels) + arraySum(
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
    where dataset = 'heartbeats' and status in ('loaded', 'superseded')
    union all
    select
        '' as bucket,
        toString(object_key) as key,
        0 as versions,
        0 as footer_rows,
        count() as bronze_rows,
        uniqExact((venue, process, instance, beat_time)) as distinct_keys,
        0 as ledger_checksum,
        sum(
            finalise(
                2846916773017296667
                + 1571905976656057837 * xxHash64(venue)
                + 11139088555084265815 * xxHash64(process)
                + 7347527998812836493 * xxHash64(instance)
                + 16763637717355974729 * word_of_instant(started_at)
                + 18054486341671026159 * word_of_instant(beat_time)
                + 5250828727098524079 * word_of_integer(connections)
                + 3441840333528661125 * word_of_integer(frames)
                + 15216189597454029143 * word_of_integer(rows)
                + 13207117794978757797 * word_of_integer(spool_bytes)
                + 9969222536919136787 * xxHash64(detail)
            )
        ) as bronze_checksum,
        max(load_time) as load_time
    from bronze_heartbeats
    group by object_key
) as accounts
group by accounts.key
comment 'Per object of heartbeats: whether bronze holds what the ledger says was loaded, row for row and value for value';

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
    select 'klines' as dataset, * from ops_accounting_klines
    union all
    select 'trades' as dataset, * from ops_accounting_trades
    union all
    select 'agg_trades' as dataset, * from ops_accounting_agg_trades
    union all
    select 'depth_diffs' as dataset, * from ops_accounting_depth_diffs
    union all
    select 'depth_snapshots' as dataset, * from ops_accounting_depth_snapshots
    union all
    select 'tickers' as dataset, * from ops_accounting_tickers
    union all
    select 'book_tickers' as dataset, * from ops_accounting_book_tickers
    union all
    select 'mark_prices' as dataset, * from ops_accounting_mark_prices
    union all
    select 'funding_rates' as dataset, * from ops_accounting_funding_rates
    union all
    select 'open_interest' as dataset, * from ops_accounting_open_interest
    union all
    select 'liquidations' as dataset, * from ops_accounting_liquidations
    union all
    select 'stream_events' as dataset, * from ops_accounting_stream_events
    union all
    select 'heartbeats' as dataset, * from ops_accounting_heartbeats
) as objects
comment 'Per object of every dataset: whether bronze holds what the ledger says was loaded; verdict says what differs';
