-- Grain: one applied schema file. Natural key: version. Rerun is safe: `if not exists`, and the same file is the same row.
create table if not exists ops_schema_migrations (
    version UInt32 comment 'number in front of the file name',
    name String comment 'file name',
    checksum String comment 'SHA-256 of the file: an applied file is never edited, a fix is the next number',
    applied_time DateTime64(6, 'UTC') default now64(6) comment 'when it was applied here'
)
engine = ReplacingMergeTree(applied_time)
order by version
comment 'Which files of sql/clickhouse/schema this database has'
