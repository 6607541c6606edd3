-- What CloudWatch's alarms did in the touched hours: transitions, actions, and changes of the alarms themselves.
--
-- Who changed an alarm is not in its history, but in the request. A reason that CloudWatch does not write itself shows
-- that somebody set the state.
--
-- Grain: one alarm_event.
-- Reads alarm_event; touched_hour (event_hour).
-- Parameters: $start, $end: half-open window around the touched hours; it lets the store skip files.
with entry as (
    select
        *,
        history_item_type = 'ConfigurationUpdate' as is_change,
        history_item_type = 'StateUpdate'
            and coalesce(reason, '') not like 'Threshold Crossed: %'
            and coalesce(reason, '') not like 'Unchecked: %'
            and coalesce(reason, '') not like 'Insufficient Data: %'
            as is_set
    from alarm_event
    where event_hour >= $start
        and event_hour < $end
        and event_hour in (select event_hour from touched_hour)
),

classed as (
    select
        *,
        case
            when is_change and summary like 'Alarm "%" created%' then 1
            when is_change and summary like 'Alarm "%" updated%' then 3
            when is_change and summary like 'Alarm "%" deleted%' then 4
            when is_change then 99
            when history_item_type <> 'StateUpdate' then 2
            when new_state = 'ALARM' then 1
            when new_state = 'OK' then 3
            else 2
        end as activity_id,
        case when is_change then 3004 else 2004 end as class_uid
    from entry
)

select
    sha256('alarm ' || cast(length(alarm_event_id) as varchar) || ':' || alarm_event_id) as record_id,
    event_time,
    event_hour,
    event_date,
    'alarm' as kind,
    account_id,
    region,
    table_name,
    case
        when table_name is null then null
        when region like 'cn-%'
            then 'arn:aws-cn:dynamodb:' || region || ':' || account_id || ':table/' || table_name
        when region like 'us-gov-%'
            then 'arn:aws-us-gov:dynamodb:' || region || ':' || account_id || ':table/' || table_name
        else 'arn:aws:dynamodb:' || region || ':' || account_id || ':table/' || table_name
    end as table_arn,
    cast(null as varchar) as index_name,
    cast(null as varchar) as item_key_token,
    history_item_type as operation,
    case when is_change or is_set then 'Unknown' else 'cloudwatch.amazonaws.com' end as actor,
    case when is_change or is_set then null else 'AWSService' end as actor_type,
    case when is_change or is_set then 'unresolved' else 'aws_service' end as actor_class,
    cast(null as varchar) as acting_as,
    cast(null as varchar) as confidence,
    case
        when activity_id = 99 then history_item_type
        when class_uid = 3004 then case activity_id when 1 then 'Create' when 3 then 'Update' else 'Delete' end
        else case activity_id when 1 then 'Create' when 3 then 'Close' else 'Update' end
    end as activity,
    'success' as outcome,
    cast(null as varchar) as source_ip_address,
    cast(null as varchar) as user_agent,
    translate(
        case
            when history_item_type = 'StateUpdate'
                then 'Alarm ' || alarm_name
                    || coalesce(' went from ' || old_state, ' went')
                    || coalesce(' to ' || new_state, ' to another state')
                    || coalesce(': ' || reason, '')
            else 'Alarm ' || alarm_name || ': ' || coalesce(summary, history_item_type)
        end,
        chr(9) || chr(10) || chr(13) || chr(27),
        '    '
    ) as detail,
    alarm_name as subject,
    cast(null as timestamp with time zone) as ends_at,
    cast(null as bigint) as how_many,
    cast(null as varchar) as severity,
    cast(null as varchar) as event_id,
    cast(null as varchar) as change_id,
    cast(null as varchar) as finding_id,
    cast(floor(class_uid / 1000) as integer) as ocsf_category_uid,
    class_uid as ocsf_class_uid,
    activity_id as ocsf_activity_id,
    cast(class_uid as bigint) * 100 + activity_id as ocsf_type_uid,
    cast(null as varchar) as attestation
from classed
order by event_time, record_id
