-- Tickers: the messages of the topics crypto.<venue>.ticker, as a BigQuery subscription writes them. Grain: one delivery.
-- Pub/Sub delivers at least once: read the view crypto.ticker, which has one row per message (natural key: venue, symbol,
-- sequence). What a venue does not send is null.
create table if not exists crypto.ticker_messages (
  subscription_name string options (description = 'full name of the BigQuery subscription'),
  message_id string options (description = 'id that Pub/Sub gave to the message'),
  publish_time timestamp options (description = 'when Pub/Sub received the message'),
  data json options (description = 'body of the message: resources/pubsub/ticker.schema.json'),
  attributes json options (description = 'venue, symbol, type, sequence')
)
partition by timestamp_trunc(publish_time, hour)
cluster by message_id
options (partition_expiration_days = 30);

create or replace view crypto.ticker as
select
  json_value(attributes, '$.venue') as venue,
  json_value(attributes, '$.symbol') as symbol,
  cast(json_value(attributes, '$.sequence') as int64) as sequence,
  timestamp_micros(cast(json_value(data, '$.event_time') as int64)) as event_time,
  timestamp_micros(cast(json_value(data, '$.receipt_time') as int64)) as receipt_time,
  publish_time,
  cast(json_value(data, '$.open') as bignumeric) as open,
  cast(json_value(data, '$.high') as bignumeric) as high,
  cast(json_value(data, '$.low') as bignumeric) as low,
  cast(json_value(data, '$.close') as bignumeric) as close,
  cast(json_value(data, '$.volume') as bignumeric) as volume,
  cast(json_value(data, '$.quote_volume') as bignumeric) as quote_volume,
  cast(json_value(data, '$.best_bid_price') as bignumeric) as best_bid_price,
  cast(json_value(data, '$.best_bid_quantity') as bignumeric) as best_bid_quantity,
  cast(json_value(data, '$.best_ask_price') as bignumeric) as best_ask_price,
  cast(json_value(data, '$.best_ask_quantity') as bignumeric) as best_ask_quantity
from crypto.ticker_messages
where true
qualify row_number() over (
  partition by json_value(attributes, '$.venue'), json_value(attributes, '$.symbol'), json_value(attributes, '$.sequence')
  order by publish_time
) = 1;
