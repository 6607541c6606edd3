-- What is sensitive in each table, as the last look at it found.
--
-- Grain: one class at a path of a table.
-- Parameters: $table_name: one table; NULL: all.
with
looks as (
    select table_arn, max(captured_at) as captured_at
    from sensitive_attribute
    group by table_arn
)
select s.*
from sensitive_attribute as s
inner join looks as l
    on s.table_arn = l.table_arn
    and s.captured_at = l.captured_at
where $table_name is null
    or s.table_name = $table_name
order by s.table_name, s.account_id, s.region, s.path, s.confidence desc nulls last, s.detected_class
