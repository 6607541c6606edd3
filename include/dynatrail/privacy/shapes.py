"""The shapes of requestParameters that are known, of all DynamoDB data events in one struct each.

Only fields that hold no value of an item are listed, and unknown fields are an error: what decodes into these structs
and is encoded again cannot carry anything else (aws-facts a4; "Understanding DynamoDB log file entries").
"""

import msgspec
from msgspec import Raw

ABSENT = Raw(b"null")
"""Stands for a field of free shape that the request lacks."""


class _Action(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    action: str | None = None


class _Expected(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    exists: bool | None = None
    comparison_operator: str | None = None


class Member(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    """One member of requestItems: of a transaction, a batch of keys, or a batch of statements."""

    operation: str | None = None
    table_name: str | None = None
    key: Raw = ABSENT
    items: list[str] | None = None
    item: list[str] | None = None
    statement: str | None = None
    update_expression: str | None = None
    condition_expression: str | None = None
    projection_expression: str | None = None
    expression_attribute_names: dict[str, str] | None = None
    return_values_on_condition_check_failure: str | None = None
    consistent_read: bool | None = None


class Parameters(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    """requestParameters of a DynamoDB data event, all calls in one shape; only fields that hold no item value."""

    table_name: str | None = None
    key: Raw = ABSENT
    items: list[str] | None = None
    item: list[str] | None = None
    index_name: str | None = None
    update_expression: str | None = None
    condition_expression: str | None = None
    key_condition_expression: str | None = None
    filter_expression: str | None = None
    projection_expression: str | None = None
    search_condition_expression: str | None = None
    expression_attribute_names: dict[str, str] | None = None
    attributes_to_get: list[str] | None = None
    attribute_updates: dict[str, _Action] | None = None
    expected: dict[str, _Expected] | None = None
    exclusive_start_key: Raw = ABSENT
    request_items: Raw = ABSENT
    statement: str | None = None
    shard_iterator: str | None = None
    stream_arn: str | None = None
    shard_id: str | None = None
    shard_iterator_type: str | None = None
    sequence_number: str | None = None
    limit: int | None = None
    top_k: int | None = None
    segment: int | None = None
    total_segments: int | None = None
    select: str | None = None
    scan_index_forward: bool | None = None
    consistent_read: bool | None = None
    conditional_operator: str | None = None
    return_values: str | None = None
    return_consumed_capacity: str | None = None
    return_item_collection_metrics: str | None = None
    return_values_on_condition_check_failure: str | None = None


read_parameters = msgspec.json.Decoder(Parameters).decode
_members = msgspec.json.Decoder(list[Member]).decode
_fields = msgspec.json.Decoder(list[dict[str, Raw]]).decode
_encode = msgspec.json.Encoder().encode


def read_members(raw: Raw) -> list[Member]:
    """TransactWriteItems mixes `tableName` and `TableName`, `key` and `Key`, inside one record; they mean the same."""
    try:
        return _members(raw)
    except msgspec.ValidationError:
        lowered = [{name[:1].lower() + name[1:]: value for name, value in fields.items()} for fields in _fields(raw)]
        return _members(_encode(lowered))
