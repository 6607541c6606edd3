-- The hours in which identities or configuration were looked at and all of it could be read.
--
-- Reads source_statement.
--
-- Grain: one source, account, region and hour.
-- Parameters: none.
select source, account_id, region, event_hour
from source_statement
where source in ('iam', 'configuration')
    and status = 'complete'
order by source, account_id, region, event_hour
