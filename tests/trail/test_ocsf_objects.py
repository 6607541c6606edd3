import io
import json
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dynatrail.clock import HOUR
from dynatrail.trail import ocsf, timeline
from dynatrail.trail.ocsf import activities
from dynatrail.trail.ocsf_objects import event
from dynatrail.warehouse.schema import API_EVENT

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
ROLE = "arn:aws:iam::123456789012:role/apps/clinic"
DOCUMENTS = {"user_identity", "request_parameters", "response_elements", "additional_event_data", "other_fields"}
NAMES = [
    *("userName", "roleName", "roleArn", "policyArn", "policyName", "groupName", "name", "user", "role", "arn", "url"),
    *("credentials", "accessKeyId", "assumedRoleUser", "sessionContext", "webIdFederationData", "onBehalfOf"),
    *("federatedProvider", "identityStoreArn", "identityProvider", "MFAUsed"),
]

_scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(max_size=8)
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=8,
)
_documents = st.none() | _values.map(json.dumps) | st.text(max_size=5)
_texts = st.none() | st.text(max_size=12) | st.sampled_from(["", "arn:", ROLE, "192.0.2.1", "::1%eth0", "Data"])
_OF_TYPE = {
    pa.string(): _texts,
    pa.bool_(): st.none() | st.booleans(),
    pa.list_(pa.string()): st.none() | st.lists(_texts, max_size=3),
    pa.int64(): st.integers(0, 5000),
    pa.int32(): st.just(0),
    pa.date32(): st.just(NOON.date()),
    pa.timestamp("us", tz="UTC"): st.none() | st.just(NOON),
}
_columns = st.fixed_dictionaries(
    {field.name: _documents if field.name in DOCUMENTS else _OF_TYPE[field.type] for field in API_EVENT.schema}
)


@st.composite
def exported_rows(draw):
    """A row of `sql/trail/ocsf_export.sql` for any mapped kind of call, with anything in its other columns."""
    kind = draw(st.sampled_from([row for row in activities() if not row.operation]))
    return draw(_columns) | {
        "record_id": "r",
        "event_time": NOON,
        "account_id": "123456789012",
        "caller_account_id": draw(_texts),
        "region": "eu-west-1",
        "table_name": draw(_texts),
        "table_arn": draw(_texts),
        "item_key_token": draw(_texts),
        "actor": draw(st.sampled_from([ROLE, "AIDAEXAMPLE", "arn:", "arn:aws", "x.amazonaws.com"])),
        "kind": "api_event",
        "actor_type": draw(_texts),
        "actor_class": "unresolved",
        "operation": "Op",
        "outcome": draw(st.sampled_from(["success", "failure", "denied"])),
        "detail": "x did y",
        "event_source": "x.amazonaws.com" if kind.event_source == "*" else kind.event_source,
        "event_name": kind.event_name or "Op",
        "activity": "Op" if kind.activity_id == 99 else kind.activity,
        "ocsf_activity_id": kind.activity_id,
        "ocsf_class_uid": kind.class_uid,
        "ocsf_category_uid": kind.class_uid // 1000,
        "ocsf_type_uid": kind.class_uid * 100 + kind.activity_id,
    }


@given(row=exported_rows())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_row_gives_a_valid_event(row, published):
    assert published.faults(json.loads(json.dumps(event(row), default=str))) == []


@pytest.mark.parametrize("told", ['["Yes"]', '{"MFAUsed": "Yes"}', "7", "null", '"perhaps"'], ids=str)
def test_a_sign_in_that_does_not_say_yes_or_no_to_mfa_is_told_by_its_session(told, warehouse, write, make_event):
    sign_in = make_event(
        event_source="signin.amazonaws.com",
        event_name="ConsoleLogin",
        mfa_authenticated=True,
        additional_event_data=f'{{"MFAUsed": {told}}}',
    )
    write("api_event", [sign_in])
    timeline.build(warehouse, [NOON])
    out = io.BytesIO()
    ocsf.export(warehouse, NOON, NOON + HOUR, out)
    assert json.loads(out.getvalue().splitlines()[0])["is_mfa"] is True


@pytest.mark.parametrize("name", [field.name for field in API_EVENT.schema if field.type == pa.string()])
def test_every_text_of_an_event_reaches_its_export(name, warehouse, write, make_event):
    """What has no place in OCSF is in `unmapped`."""
    write("api_event", [make_event(**{name: "MARKER"})])
    timeline.build(warehouse, [NOON])
    out = io.BytesIO()
    ocsf.export(warehouse, NOON, NOON + HOUR, out)
    assert b"MARKER" in out.getvalue()
