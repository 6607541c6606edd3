"""What a template gives for a request is what masking the request by itself gives."""

import pytest

from dynatrail.privacy.requests import DataRequests, Item
from dynatrail.privacy.templates import Templates
from dynatrail.privacy.tokens import Tokenizer

TYPES = {"Orders": {"pk": "S", "sk": "N"}}


@pytest.fixture
def requests():
    return DataRequests(Tokenizer(bytes(range(32))), TYPES)


@pytest.fixture
def filled(requests):
    """The masked JSON, items and key condition that a template gives for one request."""
    templates = Templates(requests)

    def fill(name, raw):
        template, keys = templates.split(name, raw)
        masked = templates.fill(template.slots, keys)
        text = template.parts[0] + "".join(
            key + after for key, after in zip(masked.texts, template.parts[1:], strict=True)
        )
        named = list(zip(template.slots, masked.tokens, masked.attributes, strict=True))
        items = [
            Item(slot.table, slot.operation, token, keys, *slot[3:]) for slot, token, keys in named if slot.operation
        ]
        bounds = [(token, keys) for slot, token, keys in named if slot.operation is None]
        return text, template.tables, items, bounds[0] if bounds else (None, None)

    return fill


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("GetItem", '{"tableName":"Patients","key":{"patient_id":"pat-4711"}}'),
        ("GetItem", '{"tableName":"Patients","key":{}}'),
        ("GetItem", '{"tableName":"Patients","key":{"straße":"größe ✓","100%":"%s %(0)s"}}'),
        ("GetItem", '{"tableName":"Patients","key":{"b":"1","a":"2"},"projectionExpression":"a, b"}'),
        ("PutItem", '{"tableName":"Orders","key":{"pk":"x","sk":"1.50E1"},"items":["pk","sk","total"]}'),
        ("UpdateItem", '{"tableName":"Orders","key":{"sk":"7","pk":"x"},"updateExpression":"SET a = :a"}'),
        ("Query", '{"tableName":"Orders","key":{"pk":"x"},"keyConditionExpression":"pk = :p","indexName":"by-pk"}'),
        (
            "TransactWriteItems",
            '{"requestItems":[{"operation":"Put","tableName":"Orders","key":{"sk":"01"},"items":["pk"]},{"Key":{"id":"7"}}]}',
        ),
        ("BatchGetItem", '{"requestItems":[{"tableName":"Orders","key":{"pk":"x","sk":"1"}}]}'),
    ],
)
def test_a_template_gives_what_masking_the_request_gives(requests, filled, name, raw):
    whole = requests.mask(name, raw.encode())

    assert filled(name, raw.encode()) == (
        whole.parameters,
        whole.tables,
        list(whole.items),
        (whole.condition_token, whole.condition_attributes),
    )


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        pytest.param("Scan", '{"tableName":"Patients"}', id="no key"),
        pytest.param("GetItem", '{"tableName":"Patients","key": {"id":"7"}}', id="another notation"),
        pytest.param("GetItem", r'{"tableName":"Patients","key":{"id":"a\"}b"}}', id="an escape in the key"),
        pytest.param("GetItem", '{"tableName":"Patients","key":{"id":"a}b"}}', id="a brace in the key"),
        pytest.param("GetItem", '{"tableName":"Patients","key":{"id":{"S":"7"}}}', id="a typed key"),
        pytest.param("GetItem", '{"tableName":"Patients","key":{"id":"7"},"key":{"id":"8"}}', id="a key twice"),
        pytest.param("GetItem", '{"tableName":"Patients","monkey":{"id":"7"}}', id="another member"),
        pytest.param("Scan", '{"tableName":"Patients","exclusiveStartKey":{"id":"7"}}', id="where a page starts"),
        pytest.param("UpdateItem", '{"tableName":"T","attributeUpdates":{"key":{"action":"PUT"}}}', id="an attribute"),
        pytest.param(
            "UpdateItem",
            '{"tableName":"T","key": {"id":"7"},"attributeUpdates":{"key":{"action":"PUT"}}}',
            id="an attribute beside a key in another notation",
        ),
        pytest.param(
            "TransactWriteItems",
            '{"requestItems":[{"tableName":"T","key":{"id":"7"}},{"tableName":"T","items":["id"]}]}',
            id="an item whose key is redacted",
        ),
        pytest.param("GetItem", '{"tableName":"Patients","key":{"id":"7"},"new":1}', id="a member that is not known"),
    ],
)
def test_any_other_request_is_left_to_masking(requests, name, raw):
    assert Templates(requests).split(name, raw.encode()) is None


def test_requests_that_differ_in_their_keys_share_a_template(requests):
    templates = Templates(requests)
    raws = [b'{"tableName":"Patients","key":{"patient_id":"pat-%d"}}' % number for number in range(2)]

    (one, _), (other, _) = (templates.split("GetItem", raw) for raw in raws)

    assert one is other
