"""What changed in an item: DynamoDB Streams, a Kinesis destination, or an incremental export."""

import pyarrow as pa

from dynatrail.warehouse.schema.columns import INSTANT, NAMES, Table, column, hour_columns

ITEM_CHANGE = Table(
    name="item_change",
    grain="one change of one item; a reconstructed row is the net change of one item over a window",
    schema=pa.schema(
        [
            column("change_id", pa.string(), "SHA-256 of origin, table and natural position", required=True),
            column(
                "event_time",
                INSTANT,
                "ApproximateCreationDateTime; of a reconstructed row the last write in its window",
                required=True,
            ),
            *hour_columns("event_time"),
            column("account_id", pa.string(), "account that owns the table", required=True),
            column("region", pa.string(), "region of the table", required=True),
            column("table_name", pa.string(), "table of the item", required=True),
            column("table_arn", pa.string(), "its ARN", required=True),
            column("item_key_token", pa.string(), "keyed token of the item's key, as in api_event_item", required=True),
            column("key_attributes", NAMES, "attributes of the key, sorted", required=True),
            column("change_type", pa.string(), "INSERT, MODIFY or REMOVE", required=True),
            column("old_image", pa.string(), "item before, masked DynamoDB JSON; NULL: see view_type"),
            column("new_image", pa.string(), "item after, masked DynamoDB JSON; NULL: see view_type"),
            column("old_image_token", pa.string(), "keyed token of the whole item before, whatever is shown of it"),
            column("new_image_token", pa.string(), "the same of the item after"),
            column("changed_attributes", NAMES, "top-level attributes that differ, sorted; NULL without both images"),
            column("view_type", pa.string(), "StreamViewType: which images the source gives at all", required=True),
            column("change_origin", pa.string(), "stream, kinesis or export", required=True),
            column("reconstructed", pa.bool_(), "true: net change from an export, not one write", required=True),
            column("reconstructed_from", INSTANT, "start of the window that a reconstructed row sums up, inclusive"),
            column("reconstructed_to", INSTANT, "its end, exclusive"),
            column("by_ttl", pa.bool_(), "deleted by DynamoDB as expired; NULL where the origin cannot tell"),
            column("event_id", pa.string(), "eventID of the stream record"),
            column("sequence_number", pa.string(), "SequenceNumber, decimal digits as AWS writes them"),
            column("shard_id", pa.string(), "shard that the record was read from"),
            column("stream_arn", pa.string(), "DynamoDB stream or Kinesis stream"),
            column("time_precision", pa.string(), "unit of event_time at its source: SECOND, MILLISECOND, MICROSECOND"),
            column("size_bytes", pa.int64(), "SizeBytes of the record"),
            column("user_identity", pa.string(), "userIdentity of the record as canonical JSON"),
            column("other_fields", pa.string(), "fields of the record that have no column, as masked JSON"),
            column("source_uri", pa.string(), "stream ARN and shard, or address of an export file", required=True),
            column("source_position", pa.string(), "sequence number, or line of the export file", required=True),
        ]
    ),
    natural_key=("change_id",),
    order_by=("event_time", "item_key_token", "sequence_number", "change_id"),
    slice_by=("account_id", "region", "table_name"),
)
