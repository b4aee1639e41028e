-- Order books: the messages of the topics crypto.<venue>.l2, as a BigQuery subscription writes them. Grain: one delivery.
-- Pub/Sub delivers at least once, so a message may be there twice: read the views below. crypto.l2 has one row per message
-- (natural key: venue, symbol, sequence), crypto.l2_levels one row per level of a message.
create table if not exists crypto.l2_messages (
  subscription_name string options (description = 'full name of the BigQuery subscription'),
  message_id string options (description = 'id that Pub/Sub gave to the message'),
  publish_time timestamp options (description = 'when Pub/Sub received the message'),
  data json options (description = 'body of the message: resources/pubsub/l2.schema.json'),
  attributes json options (description = 'venue, symbol, type, sequence')
)
partition by timestamp_trunc(publish_time, hour)
cluster by message_id
options (partition_expiration_days = 30);

create or replace view crypto.l2 as
select
  json_value(attributes, '$.venue') as venue,
  json_value(attributes, '$.symbol') as symbol,
  json_value(attributes, '$.type') as type,
  cast(json_value(attributes, '$.sequence') as int64) as sequence,
  cast(json_value(data, '$.last_update_id') as int64) as last_update_id,
  timestamp_micros(cast(json_value(data, '$.event_time') as int64)) as event_time,
  timestamp_micros(cast(json_value(data, '$.receipt_time') as int64)) as receipt_time,
  publish_time,
  cast(json_value(data, '$.levels') as int64) as levels,
  json_query_array(data, '$.bids') as bids,
  json_query_array(data, '$.asks') as asks
from crypto.l2_messages
where true
qualify row_number() over (
  partition by json_value(attributes, '$.venue'), json_value(attributes, '$.symbol'), json_value(attributes, '$.sequence')
  order by publish_time
) = 1;

create or replace view crypto.l2_levels as
select
  venue,
  symbol,
  type,
  sequence,
  last_update_id,
  event_time,
  'bid' as side,
  cast(json_value(level, '$[0]') as bignumeric) as price,
  cast(json_value(level, '$[1]') as bignumeric) as quantity
from crypto.l2
cross join unnest(bids) as level
union all
select
  venue,
  symbol,
  type,
  sequence,
  last_update_id,
  event_time,
  'ask' as side,
  cast(json_value(level, '$[0]') as bignumeric) as price,
  cast(json_value(level, '$[1]') as bignumeric) as quantity
from crypto.l2
cross join unnest(asks) as level;
