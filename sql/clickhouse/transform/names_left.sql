-- Which of the symbols that lost rows still have some in silver: venue and symbol.
select distinct venue, symbol from silver_trades where (venue, symbol) in %(names)s
union distinct
select distinct venue, symbol from silver_klines where (venue, symbol) in %(names)s
union distinct
select distinct venue, symbol from silver_depth_diffs where (venue, symbol) in %(names)s
union distinct
select distinct venue, symbol from silver_depth_snapshots where (venue, symbol) in %(names)s
