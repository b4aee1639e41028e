-- Grain: one symbol and 1m. Natural key: venue, symbol, open_time. A view: exact at any moment.
create view if not exists gold_indicators_1m
as
select * except (interval, build_version)
from stored_indicators final
where interval = '1m'
settings do_not_merge_across_partitions_select_final = 1
comment 'Indicators on 1m closes; null while an indicator warms up'
