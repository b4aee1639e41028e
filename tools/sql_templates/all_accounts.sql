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
