-- Grain: one holding of one portfolio. Natural key: portfolio, venue, symbol. Rerun is safe: the later row of the same key wins.
create table if not exists portfolio_weights (
    portfolio LowCardinality(String) comment 'your name for it',
    venue LowCardinality(String) comment 'exchange',
    symbol LowCardinality(String) comment 'market, in the spelling of the venue',
    weight Float64 comment 'part of the portfolio at the beginning of every day; negative is short, the rest to 1 is cash',
    changed_time DateTime64(6, 'UTC') default now64(6) comment 'when it was written'
)
engine = ReplacingMergeTree(changed_time)
order by (portfolio, venue, symbol)
comment 'Portfolios for gold_portfolio_1d: insert your own';
