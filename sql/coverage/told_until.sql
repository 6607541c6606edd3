-- Up to when each other source has spoken of an account and region: what the trail's deliveries are held against.
--
-- Grain: account, region, source.
-- Reads source_statement.
-- Parameters: $since: how far back is looked.
select
    account_id,
    region,
    source,
    max(event_hour) + interval '1' hour as told_until
from source_statement
where event_hour >= $since
    and source in ('cloudwatch', 'streams', 'kinesis')
    and (status <> 'not_assessable' or source = 'cloudwatch')
group by account_id, region, source
order by account_id, region, source
