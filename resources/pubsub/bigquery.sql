-- A table for a BigQuery subscription with message metadata: Pub/Sub writes every l2 message into it, nothing else runs.
-- Documented, not run by anything here. Delivery is at least once: read one row a sequence, as the view below does.
--
--   gcloud pubsub subscriptions create crypto.binance.l2.bigquery --topic crypto.binance.l2 \
--     --bigquery-table PROJECT:crypto.l2_messages --write-metadata
--
-- The Pub/Sub service account needs roles/bigquery.dataEditor on the dataset.
create table if not exists crypto.l2_messages (
  subscription_name string,
  message_id string,
  publish_time timestamp,
  data json,
  attributes json
)
partition by timestamp_trunc(publish_time, hour)
cluster by message_id
options (partition_expiration_days = 30);

create or replace view crypto.l2 as
select
  json_value(attributes.venue) as venue,
  json_value(attributes.symbol) as symbol,
  json_value(attributes.type) as type,
  cast(json_value(attributes.sequence) as int64) as sequence,
  cast(json_value(data.last_update_id) as int64) as last_update_id,
  timestamp_micros(cast(json_value(data.event_time) as int64)) as event_time,
  timestamp_micros(cast(json_value(data.receipt_time) as int64)) as receipt_time,
  json_query_array(data.bids) as bids,
  json_query_array(data.asks) as asks
from crypto.l2_messages
where true
qualify row_number() over (
  partition by json_value(attributes.venue), json_value(attributes.symbol), json_value(attributes.sequence)
  order by publish_time
) = 1;
