-- Grain: one object of one dataset. Natural key: dataset, key. A view: nothing is stored, exact at any moment. It reads
-- all of bronze: to ask for one dataset ask ops_accounting_<dataset>.
create view if not exists ops_accounting
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
    select 'depth_diffs' as dataset, * from ops_accounting_depth_diffs
    union all
    select 'depth_snapshots' as dataset, * from ops_accounting_depth_snapshots
    union all
    select 'tickers' as dataset, * from ops_accounting_tickers
    union all
    select 'stream_events' as dataset, * from ops_accounting_stream_events
    union all
    select 'heartbeats' as dataset, * from ops_accounting_heartbeats
) as objects
comment 'Per object of every dataset: whether bronze holds what the ledger says was loaded; verdict says what differs'
