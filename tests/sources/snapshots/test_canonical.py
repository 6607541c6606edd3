import inspect
import json
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynatrail.sources.snapshots import canonical, volatile

POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {"Sid": "B", "Effect": "Allow", "Action": "dynamodb:GetItem", "Resource": "*"},
        {"Sid": "A", "Effect": "Deny", "Action": ["s3:*", "iam:*"], "Resource": ["*"], "Principal": {"AWS": "1"}},
    ],
}


def test_order_of_keys_and_tags_means_nothing():
    tags = [{"Key": "b", "Value": "1"}, {"Key": "a", "Value": "2"}]
    assert canonical.text({"Tags": tags, "A": 1}, "X") == canonical.text({"A": 1, "Tags": tags[::-1]}, "X")


def test_order_of_a_key_schema_means_something():
    schema = [{"AttributeName": "z", "KeyType": "HASH"}, {"AttributeName": "a", "KeyType": "RANGE"}]
    assert canonical.text({"KeySchema": schema}, "X") != canonical.text({"KeySchema": schema[::-1]}, "X")


@pytest.mark.parametrize(
    "encode", [json.dumps, lambda policy: quote(json.dumps(policy)), dict], ids=["json", "url", "object"]
)
def test_policy_is_the_same_however_it_is_encoded(encode):
    assert canonical.text({"Policy": encode(POLICY)}, "X") == canonical.text({"Policy": POLICY}, "X")


def test_single_value_in_a_policy_is_a_list_of_one():
    statement = {"Effect": "Allow", "Action": ["dynamodb:GetItem"], "Resource": ["*"], "Sid": "B"}
    listed = {"Version": "2012-10-17", "Statement": [POLICY["Statement"][1], statement]}
    assert canonical.text({"Policy": listed}, "X") == canonical.text({"Policy": POLICY}, "X")


def test_single_statement_is_a_list_of_one():
    one = {"Version": "2012-10-17", "Statement": POLICY["Statement"][0]}
    assert canonical.text(one, "X") == canonical.text({**one, "Statement": [one["Statement"]]}, "X")


def test_other_effect_is_another_policy():
    other = json.loads(json.dumps(POLICY).replace("Deny", "Allow"))
    assert canonical.text(other, "X") != canonical.text(POLICY, "X")


def test_instants_are_utc():
    noon = datetime(2026, 11, 1, 12, tzinfo=UTC)
    other = noon.astimezone(timezone(timedelta(hours=5)))
    assert canonical.text({"At": other}, "X") == '{"At":"2026-11-01T12:00:00Z"}'


def test_text_that_only_looks_like_json_stays_text():
    assert canonical.text({"Description": '{"Statement'}, "X") == '{"Description":"{\\"Statement"}'


def test_volatile_field_is_left_out_at_any_depth():
    table = {"ItemCount": 1, "GlobalSecondaryIndexes": [{"IndexName": "i", "ItemCount": 2}]}
    assert canonical.text(table, "DescribeTable") == '{"GlobalSecondaryIndexes":[{"IndexName":"i"}]}'


def test_field_is_volatile_for_its_aspects_only():
    assert canonical.text({"ItemCount": 1}, "DescribeLimits") == '{"ItemCount":1}'


def test_capacity_is_left_out_only_where_auto_scaling_sets_it():
    table = {"ProvisionedThroughput": {"ReadCapacityUnits": 5}}
    assert "5" in canonical.text(table, "DescribeTable")
    assert "5" not in canonical.text(table, "DescribeTable", ["scaled"])


def test_external_id_is_seen_in_whatever_case():
    policy = {"Statement": [{"Effect": "Allow", "Condition": {"StringEquals": {"sts:ExternalId": "x"}}}]}
    assert canonical.holds_external_id(canonical.text(policy, "X"))


def test_each_rule_has_a_reason_and_is_used_by_an_aspect_that_exists():
    from dynatrail.sources.configuration import aspects as configuration
    from dynatrail.sources.iam import aspects as iam

    source = "".join(inspect.getsource(module) for module in (configuration, iam))
    for rule in volatile.rules().left_out:
        assert rule.reason
        assert [name for name in rule.aspects if f'"{name}"' not in source] == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_canonical_form_of_any_json_is_its_own_canonical_form(document):
    once = canonical.text(document, "X")
    assert canonical.text(json.loads(once), "X") == once
