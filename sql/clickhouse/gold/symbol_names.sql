-- Fills stored_symbol_names: every symbol of the loaded trades and klines, or diffs and snapshots, with its letters.
-- Grain: venue, symbol. Rerun is safe: the same symbol gives the same row; symbols that are known already are left alone,
-- but for a rebuild, which leaves no row of an older build than its own.
insert into stored_symbol_names
with loaded as (
    select distinct venue, symbol from {first_source:Identifier}
    where load_time >= {window_start:DateTime64(6, 'UTC')} and load_time < {window_end:DateTime64(6, 'UTC')}
    union distinct
    select distinct venue, symbol from {second_source:Identifier}
    where load_time >= {window_start:DateTime64(6, 'UTC')} and load_time < {window_end:DateTime64(6, 'UTC')}
)
select
    venue,
    symbol,
    upperUTF8(replaceRegexpAll(toString(symbol), '[-_/:. ]', '')) as market,
    {build_version:UInt64} as build_version
from loaded
where (venue, symbol) not in (select venue, symbol from stored_symbol_names where build_version >= {oldest_build:UInt64})
