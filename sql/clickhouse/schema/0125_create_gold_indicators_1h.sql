-- Grain: one symbol and 1h. Natural key: venue, symbol, open_time. A view: exact at any moment.
create view if not exists gold_indicators_1h
as
select * except (interval, build_version)
from stored_indicators final
where interval = '1h'
settings do_not_merge_across_partitions_select_final = 1
comment 'Indicators on 1h closes; null while an indicator warms up'
