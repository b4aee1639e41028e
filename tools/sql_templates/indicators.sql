-- Grain: one symbol and {interval}. Natural key: venue, symbol, open_time. A view: exact at any moment.
create or replace view gold_indicators_{interval}
as
select * except (interval, build_version)
from stored_indicators final
where interval = '{interval}'
settings do_not_merge_across_partitions_select_final = 1
comment 'Indicators on {interval} closes; null while an indicator warms up';
