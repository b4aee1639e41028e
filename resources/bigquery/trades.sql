-- Trades: the messages of the topics crypto.<venue>.trades, as a BigQuery subscription writes them. Grain: one delivery.
-- Pub/Sub delivers at least once: read the view crypto.trades, which has one row per trade (natural key: venue, symbol, trade_id).
create table if not exists crypto.trades_messages (
  subscription_name string options (description = 'full name of the BigQuery subscription'),
  message_id string options (description = 'id that Pub/Sub gave to the message'),
  publish_time timestamp options (description = 'when Pub/Sub received the message'),
  data json options (description = 'body of the message: resources/pubsub/trades.schema.json'),
  attributes json options (description = 'venue, symbol, type, sequence')
)
partition by timestamp_trunc(publish_time, hour)
cluster by message_id
options (partition_expiration_days = 30);

create or replace view crypto.trades as
select
  json_value(attributes, '$.venue') as venue,
  json_value(attributes, '$.symbol') as symbol,
  cast(json_value(attributes, '$.sequence') as int64) as sequence,
  cast(json_value(data, '$.trade_id') as int64) as trade_id,
  cast(json_value(data, '$.price') as bignumeric) as price,
  cast(json_value(data, '$.quantity') as bignumeric) as quantity,
  cast(json_value(data, '$.is_buyer_maker') as bool) as is_buyer_maker,
  timestamp_micros(cast(json_value(data, '$.trade_time') as int64)) as trade_time,
  timestamp_micros(cast(json_value(data, '$.event_time') as int64)) as event_time,
  timestamp_micros(cast(json_value(data, '$.receipt_time') as int64)) as receipt_time,
  publish_time
from crypto.trades_messages
where true
qualify row_number() over (
  partition by json_value(attributes, '$.venue'), json_value(attributes, '$.symbol'), json_value(data, '$.trade_id')
  order by publish_time
) = 1;
