-- Every look at users, groups, roles, managed policies and the policies of tables and streams, as each was seen.
--
-- Reads iam_snapshot and table_config.
--
-- Grain: one resource at a time when it differed from what was seen before.
-- Parameters: none.
select
    'iam' as source, account_id, region, resource_type, resource_arn, captured_at, status, document
from iam_snapshot
where aspect = 'GetAccountAuthorizationDetails'
    and resource_type in (
        'AWS::IAM::User', 'AWS::IAM::Role', 'AWS::IAM::Group', 'AWS::IAM::ManagedPolicy', 'AWS::IAM::Account'
    )
union all
select
    'configuration' as source, account_id, region, resource_type, resource_arn, captured_at, status, document
from table_config
where aspect = 'GetResourcePolicy'
order by captured_at, resource_type, resource_arn
