-- Grain: one symbol and 1d. Natural key: venue, symbol, open_time. A view: exact at any moment.
create view if not exists gold_indicators_1d
as
select * except (interval, build_version)
from stored_indicators final
where interval = '1d'
settings do_not_merge_across_partitions_select_final = 1
comment 'Indicators on 1d closes; null while an indicator warms up'
