-- Grain: one symbol and 15m. Natural key: venue, symbol, open_time. A view: exact at any moment.
create view if not exists gold_indicators_15m
as
select * except (interval, build_version)
from stored_indicators final
where interval = '15m'
settings do_not_merge_across_partitions_select_final = 1
comment 'Indicators on 15m closes; null while an indicator warms up'
