-- Written by make sql: do not edit.

-- Offends: an object whose rows say another venue, symbol, interval or period than its key. The rows count as what they say
-- themselves; who reads the lake by its partitions sees them as what the key says. By load_time.
-- value: how many of its rows. No parameters.
select
    venue,
    symbol,
    min(load_time) as at,
    toFloat64(count()) as value,
    format('{} rows of {} say {}', toString(count()), object_key, trimRight(concat(venue, ' ', symbol, ' ', series))) as detail
from (
    select venue, symbol, interval as series, object_key, object_etag, load_time
    from bronze_klines
    where load_time >= {since:DateTime64(6, 'UTC')} and load_time < {until:DateTime64(6, 'UTC')}
    union all
    select venue, symbol, '' as series, object_key, object_etag, load_time
    from bronze_trades
    where load_time >= {since:DateTime64(6, 'UTC')} and load_time < {until:DateTime64(6, 'UTC')}
    union all
    select venue, symbol, '' as series, object_key, object_etag, load_time
    from bronze_agg_trades
    where load_time >= {since:DateTime64(6, 'UTC')} and load_time < {until:DateTime64(6, 'UTC')}
    union all
    select venue, symbol, '' as series, object_key, object_etag, load_time
    from bronze_depth_diffs
    where load_time >= {since:DateTime64(6, 'UTC')} and load_time < {until:DateTime64(6, 'UTC')}
    union all
    select venue, symbol, '' as series, object_key, object_etag, load_time
    from bronze_depth_snapshots
    where load_time >= {since:DateTime64(6, 'UTC')} and load_time < {until:DateTime64(6, 'UTC')}
    union all
    select venue, symbol, '' as series, object_key, object_etag, load_time
    from bronze_tickers
    where load_time >= {since:DateTime64(6, 'UTC')} and load_time < {until:DateTime64(6, 'UTC')}
    union all
    select venue, symbol, '' as series, object_key, object_etag, load_time
    from bronze_book_tickers
    where load_time >= {since:DateTime64(6, 'UTC')} and load_time < {until:DateTime64(6, 'UTC')}
    union all
    select venue, symbol, '' as series, object_key, object_etag, load_time
    from bronze_mark_prices
    where load_time >= {since:DateTime64(6, 'UTC')} and load_time < {until:DateTime64(6, 'UTC')}
    union all
    select venue, symbol, '' as series, object_key, object_etag, load_time
    from bronze_funding_rates
    where load_time >= {since:DateTime64(6, 'UTC')} and load_time < {until:DateTime64(6, 'UTC')}
    union all
    select venue, symbol, period as series, object_key, object_etag, load_time
    from bronze_open_interest
    where load_time >= {since:DateTime64(6, 'UTC')} and load_time < {until:DateTime64(6, 'UTC')}
    union all
    select venue, symbol, '' as series, object_key, object_etag, load_time
    from bronze_liquidations
    where load_time >= {since:DateTime64(6, 'UTC')} and load_time < {until:DateTime64(6, 'UTC')}
)
where decodeURLComponent(extract(object_key, '/venue=([^/]+)/')) not in ('', '__HIVE_DEFAULT_PARTITION__', venue)
    or decodeURLComponent(extract(object_key, '/symbol=([^/]+)/')) not in ('', '__HIVE_DEFAULT_PARTITION__', symbol)
    or (
        series != ''
        and decodeURLComponent(extract(object_key, '/(?:interval|period)=([^/]+)/'))
            not in ('', '__HIVE_DEFAULT_PARTITION__', series)
    )
group by venue, symbol, series, object_key, object_etag
