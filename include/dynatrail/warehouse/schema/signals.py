"""What CloudWatch saw: datapoints, alarm transitions, log lines."""

import pyarrow as pa

from dynatrail.warehouse.schema.columns import INSTANT, Table, column, hour_columns

METRIC = Table(
    name="metric",
    grain="one datapoint of CloudWatch, or of CloudTrail's own counts; an idle minute has none, which is not zero",
    schema=pa.schema(
        [
            column("event_time", INSTANT, "start of the period", required=True),
            *hour_columns("event_time"),
            column("account_id", pa.string(), "account that the metric belongs to", required=True),
            column("region", pa.string(), "region that the metric belongs to", required=True),
            column("namespace", pa.string(), "AWS/DynamoDB, CloudTrail or DynamoDBContributorInsights", required=True),
            column("metric_name", pa.string(), "as CloudWatch names it", required=True),
            column("table_name", pa.string(), "dimension TableName; NULL for account-wide metrics"),
            column("operation", pa.string(), "dimension Operation"),
            column("index_name", pa.string(), "dimension GlobalSecondaryIndexName"),
            column("dimensions", pa.string(), "all dimensions as canonical JSON", required=True),
            column("contributor_token", pa.string(), "keyed token of a Contributor Insights key"),
            column("statistic", pa.string(), "SampleCount, Sum, Average, Minimum, Maximum or pNN", required=True),
            column("period_s", pa.int32(), "length of the period, seconds", required=True),
            column("value", pa.float64(), "CloudWatch keeps doubles", required=True),
            column("unit", pa.string(), "as CloudWatch gives it"),
        ]
    ),
    natural_key=(
        *("account_id", "region", "namespace", "metric_name", "dimensions", "contributor_token"),
        *("statistic", "period_s", "event_time"),
    ),
    order_by=("event_time", "metric_name", "dimensions", "contributor_token", "statistic", "period_s"),
    slice_by=("account_id", "region"),
)

ALARM_EVENT = Table(
    name="alarm_event",
    grain="one entry of an alarm's history",
    schema=pa.schema(
        [
            column("alarm_event_id", pa.string(), "SHA-256 of the entry", required=True),
            column("event_time", INSTANT, "Timestamp of the entry", required=True),
            *hour_columns("event_time"),
            column("account_id", pa.string(), "account of the alarm", required=True),
            column("region", pa.string(), "region of the alarm", required=True),
            column("alarm_name", pa.string(), "AlarmName", required=True),
            column("alarm_type", pa.string(), "MetricAlarm or CompositeAlarm"),
            column("history_item_type", pa.string(), "StateUpdate, ConfigurationUpdate or Action", required=True),
            column("old_state", pa.string(), "StateValue before a StateUpdate"),
            column("new_state", pa.string(), "StateValue after it"),
            column("summary", pa.string(), "HistorySummary"),
            column("reason", pa.string(), "stateReason of a StateUpdate, masked"),
            column("metric_name", pa.string(), "metric that the alarm watches, while the alarm exists"),
            column("table_name", pa.string(), "its dimension TableName"),
            column("history_data", pa.string(), "HistoryData as canonical masked JSON"),
        ]
    ),
    natural_key=("alarm_event_id",),
    order_by=("event_time", "alarm_name", "alarm_event_id"),
    slice_by=("account_id", "region"),
)

LOG_EVENT = Table(
    name="log_event",
    grain="one CloudWatch Logs event that a configured filter pattern matched",
    schema=pa.schema(
        [
            column("log_event_id", pa.string(), "SHA-256 of filter, group, stream and eventId", required=True),
            column("event_time", INSTANT, "timestamp of the log event", required=True),
            *hour_columns("event_time"),
            column("ingestion_time", INSTANT, "when CloudWatch Logs got it"),
            column("account_id", pa.string(), "account of the log group", required=True),
            column("region", pa.string(), "region of the log group", required=True),
            column("log_group", pa.string(), "logGroupName", required=True),
            column("log_stream", pa.string(), "logStreamName"),
            column("event_id", pa.string(), "eventId of CloudWatch Logs", required=True),
            column("filter_name", pa.string(), "filter of the configuration that matched", required=True),
            column("message", pa.string(), "masked"),
        ]
    ),
    natural_key=("log_event_id",),
    order_by=("event_time", "log_group", "log_event_id"),
    slice_by=("account_id", "region"),
)
