-- Grain: one object, by its key. Natural key: key (bronze keeps the key and not the bucket: of a key that was loaded
-- from two buckets both are named, and counted together). A view: nothing is stored, exact at any moment; it reads
-- all of bronze, or with `where key = ...` one object's rows. An object that is being loaded at this moment is in
-- bronze first: "not in ledger" is a finding only if it stays.
-- The checksum is that of load_process.value_checksum: its docstring defines it. The numbers before the words are
-- K(column), the number before them all is row_without_values(columns).
create or replace view ops_accounting_{name}
as
with
    {null} as word_of_null,
    (z1) -> bitXor(z1, bitShiftRight(z1, 30)) * 0xbf58476d1ce4e5b9 as mixed_once,
    (z2) -> bitXor(z2, bitShiftRight(z2, 27)) * 0x94d049bb133111eb as mixed_twice,
    (z3) -> bitXor(z3, bitShiftRight(z3, 31)) as mixed_thrice,
    (z) -> mixed_thrice(mixed_twice(mixed_once(z))) as finalise,
    (n) -> ifNull(toUInt64(n), word_of_null) as word_of_integer,
    (t) -> word_of_integer(toUnixTimestamp64Micro(t)) as word_of_instant,
    (d) -> reinterpret(d, 'UInt64') as low_half,
    (d) -> toUInt64(bitShiftRight(reinterpret(d, 'UInt128'), 64)) as high_half,
    (d) -> ifNull(low_half(d) + {high_half} * high_half(d), word_of_null) as word_of_decimal,
    (price, quantity, index) -> finalise(
        {price} * word_of_decimal(price) + {quantity} * word_of_decimal(quantity) + {index} * index
    ) as hash_of_level,
    (levels) -> {length} * length(levels) + arraySum(
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
    where dataset = '{name}' and status in ('loaded', 'superseded')
    union all
    select
        '' as bucket,
        toString(object_key) as key,
        0 as versions,
        0 as footer_rows,
        count() as bronze_rows,
        uniqExact(({natural_key})) as distinct_keys,
        0 as ledger_checksum,
        sum(
            finalise(
                {without_values}
{words}
            )
        ) as bronze_checksum,
        max(load_time) as load_time
    from bronze_{name}
    group by object_key
) as accounts
group by accounts.key
comment 'Per object of {name}: whether bronze holds what the ledger says was loaded, row for row and value for value';
