-- Grain: one epoch, from which on one replica is written to. Natural key: epoch. Rerun is safe: `if not exists`; the insert of
-- an epoch has its number for a token, so that of several only the first is taken, on whichever replica.
create table if not exists ops_writers (
    epoch UInt64 comment 'counts up: the highest is in force',
    replica String comment 'the replica that is written to, as system.replicas names it',
    accepts_loss UInt8 comment '1: its writers do not wait for rows that it has yet to fetch',
    taken_time DateTime64(6, 'UTC') default now64(6) comment 'when that was said'
)
engine = MergeTree
order by epoch
settings non_replicated_deduplication_window = 10000
comment 'Which replica is written to; without rows where nothing replicates';
