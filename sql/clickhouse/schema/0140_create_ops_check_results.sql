-- Grain: one finding of one check in one run, or one row with the verdict `passed`. No natural key: append-only log. Rerun is
-- safe: `if not exists`.
create table if not exists ops_check_results (
    run_time DateTime64(6, 'UTC') comment 'when the run began: the same for all its rows',
    check_name LowCardinality(String) comment 'file of sql/clickhouse/checks without its ending',
    severity LowCardinality(String) comment 'error or warning, from resources/checks.yaml',
    verdict LowCardinality(String) comment 'passed or failed',
    findings UInt64 comment 'how many this check had in this run; the first 1,000 have rows',
    since DateTime64(6, 'UTC') comment 'data from here on was looked at',
    until DateTime64(6, 'UTC') comment 'up to, not including, here',
    venue LowCardinality(String) comment 'exchange, empty in a passed row',
    symbol LowCardinality(String) comment 'market, empty where it is not about one',
    at DateTime64(6, 'UTC') comment 'where in time',
    value Float64 comment 'the measured figure, its unit is in the check''s file',
    detail String comment 'what a person would want to know'
)
engine = MergeTree
order by (check_name, run_time)
comment 'Verdicts of data quality checks'
