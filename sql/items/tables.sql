-- The tables that the warehouse knows of: those that snapshots describe, and those of which something is stated.
--
-- Grain: one table.
-- Reads coverage, table_config.
-- Parameters: none.
with named as (
    select table_arn, table_name
    from coverage
    where operation = '*'
        and table_arn is not null

    union

    select resource_arn, resource_name
    from table_config
    where resource_type = 'AWS::DynamoDB::Table'
        and aspect = 'DescribeTable'
)

select
    split_part(table_arn, ':', 5) as account_id,
    split_part(table_arn, ':', 4) as region,
    split_part(table_arn, '/', 2) as table_name,
    table_arn
from named
where table_arn like 'arn:%:table/%'
group by table_arn
order by table_name, account_id, region, table_arn
