-- What is stated now, with what was stated before: one entry more where the statement or its reasons differ.
--
-- Grain: account, region, table, operation, hour.
-- Reads stated (statements.sql), present (coverage as it is).
-- Parameters: none.
select
    s.*,
    case
        when p.statement is null then null
        when p.statement = s.statement
            and coalesce(array_to_string(p.reasons, '|'), '') = coalesce(array_to_string(s.reasons, '|'), '')
            then p.earlier_statements
        else list_concat(
            coalesce(p.earlier_statements, cast([] as varchar[])),
            [p.statement || coalesce(': ' || array_to_string(p.reasons, '; '), '')]
        )
    end as earlier_statements
from stated as s
left join present as p
    on p.account_id = s.account_id
    and p.region = s.region
    and p.table_name = s.table_name
    and p.operation = s.operation
    and p.event_hour = s.event_hour
