-- When an event happened, by its id.
--
-- Grain: one instant; none if there is no such event, or only a forged or altered one.
-- Parameters: $event_id: CloudTrail eventID.
select distinct event_time
from api_event
where event_id = $event_id
    and attestation not in ('forged', 'altered')
order by event_time
