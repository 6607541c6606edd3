from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dynatrail.errors import SettingsError
from dynatrail.integrity.operations import CONTROL_PLANE, STREAM, TABLE, named, operations, read
from dynatrail.integrity.selectors import Answer, Gap, Selector, advanced, basic, decide, everything, lost
from dynatrail.integrity.selectors_text import excluded
from dynatrail.integrity.words import Selection
from dynatrail.sandbox.trails import Trail

Json = dict[str, Any]

ACCOUNT, REGION = "123456789012", "eu-west-1"
ORDERS = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/Orders"
OTHER = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/Other"
ANA = f"arn:aws:iam::{ACCOUNT}:user/ana"
BATCH = f"arn:aws:sts::{ACCOUNT}:assumed-role/batch/night"
STS = "arn:aws:sts:"
TRAIL = "audit"


def fields(category: str = "Data", kind: str = TABLE, **conditions: Mapping[str, Sequence[str]]) -> Json:
    """An advanced selector; a field's name has `_` for its dot."""
    found: list[Json] = [{"Field": "eventCategory", "Equals": [category]}]
    if category == "Data":
        found.append({"Field": "resources.type", "Equals": [kind]})
    found += [{"Field": name.replace("_", "."), **operators} for name, operators in conditions.items()]
    return {"Name": "one", "FieldSelectors": found}


def of(*said: Json, operation: str = "GetItem", table: str = ORDERS) -> Answer:
    return decide(named(operation), table, [(TRAIL, one) for one in advanced(said)])


def of_basic(*said: Json, operation: str = "GetItem", table: str = ORDERS) -> Answer:
    return decide(named(operation), table, [(TRAIL, one) for one in basic(said)])


def data(*values: str, kind: str = "All") -> Json:
    return {"ReadWriteType": kind, "DataResources": [{"Type": TABLE, "Values": list(values)}]}


ALL = "arn:aws:dynamodb"
FULL, PARTIAL, NONE = Selection.FULL, Selection.PARTIAL, Selection.NONE
CASES = {
    "every table, everything": ([fields()], "PutItem", FULL, []),
    "nothing": ([], "PutItem", NONE, ["all calls"]),
    "management events alone": (
        [fields("Management")],
        "PutItem",
        NONE,
        ["all calls", "trail audit has no selector for events of this category"],
    ),
    "another type of resource": (
        [fields(kind="AWS::S3::Object")],
        "PutItem",
        NONE,
        ["all calls", "trail audit has no selector for DynamoDB tables"],
    ),
    "reads, of a read": ([fields(readOnly={"Equals": ["true"]})], "Scan", FULL, []),
    "reads, of a write": (
        [fields(readOnly={"Equals": ["true"]})],
        "PutItem",
        NONE,
        ["all calls", "trail audit leaves out what its records call writes"],
    ),
    "reads, of a PartiQL SELECT, which says that it writes": (
        [fields(readOnly={"Equals": ["true"]})],
        "ExecuteStatement",
        NONE,
        ["all calls", "trail audit leaves out what its records call writes"],
    ),
    "writes, of a call of which nobody knows what it says": (
        [fields(readOnly={"Equals": ["false"]})],
        "ExecuteTransaction",
        PARTIAL,
        ["ExecuteTransaction with readOnly true: all calls"],
    ),
    "reads and writes together": (
        [fields(readOnly={"Equals": ["true"]}), fields(readOnly={"Equals": ["false"]})],
        "ExecuteTransaction",
        FULL,
        [],
    ),
    "an operation left out by name": (
        [fields(eventName={"NotEquals": ["Scan"]})],
        "Scan",
        NONE,
        ["all calls", "trail audit leaves out this operation by its name"],
    ),
    "another operation left out by name": ([fields(eventName={"NotEquals": ["Scan"]})], "Query", FULL, []),
    "operations by the beginning of their names": ([fields(eventName={"StartsWith": ["Get"]})], "GetItem", FULL, []),
    "select and deselect in one field": (
        [fields(eventName={"StartsWith": ["Get"], "NotEndsWith": ["Item"]})],
        "GetItem",
        NONE,
        ["all calls", "trail audit leaves out this operation by its name"],
    ),
    "the table's own ARN": ([fields(resources_ARN={"Equals": [ORDERS]})], "GetItem", FULL, []),
    "tables by the beginning of their names": (
        [fields(resources_ARN={"StartsWith": [ORDERS[:-2]]})],
        "GetItem",
        FULL,
        [],
    ),
    "tables left out by the beginning of their names": (
        [fields(resources_ARN={"NotStartsWith": [ORDERS[:-2]]})],
        "GetItem",
        NONE,
        ["all calls", "trail audit selects other tables only"],
    ),
    "the ARN of an index is no table's": (
        [fields(resources_ARN={"Equals": [f"{ORDERS}/index/by_day"]})],
        "Query",
        NONE,
        ["all calls", "trail audit selects other tables only"],
    ),
    "another service": (
        [fields(eventSource={"Equals": ["s3.amazonaws.com"]})],
        "GetItem",
        NONE,
        ["all calls", "trail audit leaves out dynamodb.amazonaws.com"],
    ),
    "what is no API call": (
        [fields(eventType={"Equals": ["AwsServiceEvent"]})],
        "GetItem",
        NONE,
        ["all calls", "trail audit leaves out AwsApiCall events"],
    ),
    "one identity left out": (
        [fields(userIdentity_arn={"NotEquals": [ANA]})],
        "GetItem",
        PARTIAL,
        [f"calls by {ANA}"],
    ),
    "identities left out by their beginning": (
        [fields(userIdentity_arn={"NotStartsWith": [BATCH[:-5]]})],
        "GetItem",
        PARTIAL,
        [f"calls by identities whose ARN begins with {BATCH[:-5]}"],
    ),
    "identities left out by their end": (
        [fields(userIdentity_arn={"NotEndsWith": ["/night"]})],
        "GetItem",
        PARTIAL,
        ["calls by identities whose ARN ends with /night"],
    ),
    "one identity alone": (
        [fields(userIdentity_arn={"Equals": [ANA]})],
        "GetItem",
        PARTIAL,
        [f"calls by everybody (but not {ANA})"],
    ),
    "whoever has an ARN": (
        [fields(userIdentity_arn={"StartsWith": ["arn:"]})],
        "GetItem",
        PARTIAL,
        ["calls by callers without an ARN, such as AWS services"],
    ),
    "identities and the rest of them": (
        [
            fields(userIdentity_arn={"StartsWith": ["arn:aws:iam:"]}),
            fields(userIdentity_arn={"NotStartsWith": ["arn:aws:iam:"]}),
        ],
        "GetItem",
        FULL,
        [],
    ),
    "two selectors that leave out different identities": (
        [fields(userIdentity_arn={"NotEquals": [ANA]}), fields(userIdentity_arn={"NotEquals": [BATCH]})],
        "GetItem",
        FULL,
        [],
    ),
    "a shorter beginning left out, a longer one selected": (
        [
            fields(userIdentity_arn={"NotStartsWith": [STS]}),
            fields(userIdentity_arn={"StartsWith": [BATCH[:-5]]}),
        ],
        "GetItem",
        PARTIAL,
        [f"calls by identities whose ARN begins with {STS} (but not identities whose ARN begins with {BATCH[:-5]})"],
    ),
    "the guide's filter of service-linked roles leaves out nobody": (
        [fields(userIdentity_arn={"NotStartsWith": ["AWSServiceRoleFor"]})],
        "GetItem",
        FULL,
        [],
    ),
    "a selector for what begins no ARN selects nobody": (
        [fields(userIdentity_arn={"StartsWith": ["AWSServiceRoleFor"]})],
        "GetItem",
        NONE,
        ["all calls", "trail audit selects nobody's calls"],
    ),
    "the console left out": (
        [fields(sessionCredentialFromConsole={"NotEquals": ["true"]})],
        "GetItem",
        PARTIAL,
        ["all calls through the console"],
    ),
    "the console alone": (
        [fields(sessionCredentialFromConsole={"Equals": ["true"]})],
        "GetItem",
        PARTIAL,
        ["all calls other than through the console"],
    ),
    "the console and all else": (
        [
            fields(sessionCredentialFromConsole={"Equals": ["true"]}),
            fields(sessionCredentialFromConsole={"NotEquals": ["true"]}),
        ],
        "GetItem",
        FULL,
        [],
    ),
    "one identity at the console": (
        [
            fields(sessionCredentialFromConsole={"NotEquals": ["true"]}),
            fields(userIdentity_arn={"NotEquals": [ANA]}),
        ],
        "GetItem",
        PARTIAL,
        [f"calls through the console by {ANA}"],
    ),
    "a stream's records, as its table's": ([fields()], "GetRecords", FULL, []),
    "a stream's records, as the stream's": ([fields(kind=STREAM)], "GetRecords", FULL, []),
    "the stream's type is not the table's calls": (
        [fields(kind=STREAM)],
        "GetItem",
        NONE,
        ["all calls", "trail audit has no selector for DynamoDB tables"],
    ),
    "the streams of a table, by their beginning": (
        [fields(kind=STREAM, resources_ARN={"StartsWith": [f"{ORDERS}/stream/"]})],
        "GetShardIterator",
        FULL,
        [],
    ),
    "one stream by its ARN leaves out the next": (
        [fields(kind=STREAM, resources_ARN={"Equals": [f"{ORDERS}/stream/2026-11-01T00:00:00.000"]})],
        "GetRecords",
        NONE,
        ["all calls", "trail audit selects other tables only"],
    ),
    "streams left out of a table's calls by name": (
        [fields(eventName={"NotEquals": ["GetRecords", "GetShardIterator"]})],
        "GetRecords",
        NONE,
        ["all calls", "trail audit leaves out this operation by its name"],
    ),
    "management events, of the control plane": ([fields("Management")], CONTROL_PLANE, FULL, []),
    "data events, of the control plane": (
        [fields()],
        CONTROL_PLANE,
        NONE,
        ["all calls", "trail audit has no selector for events of this category"],
    ),
    "management events that write": (
        [fields("Management", readOnly={"Equals": ["false"]})],
        CONTROL_PLANE,
        PARTIAL,
        ["DescribeTable, ListTables, any other operation with readOnly true: all calls"],
    ),
    "another service's management events left out": (
        [fields("Management", eventSource={"NotEquals": ["kms.amazonaws.com"]})],
        CONTROL_PLANE,
        FULL,
        [],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_advanced_selectors_select_what_their_conditions_say(case):
    said, operation, selection, lines = CASES[case]

    answer = of(*said, operation=operation)

    assert (selection, sorted(lines)) == (answer.selection, sorted(excluded(answer)))


BASIC = {
    "every table": ([data(ALL)], "PutItem", ORDERS, FULL),
    "the table": ([data(ORDERS)], "PutItem", ORDERS, FULL),
    "another table": ([data(OTHER)], "PutItem", ORDERS, NONE),
    "an index of the table": ([data(f"{ORDERS}/index/by_day")], "Query", ORDERS, NONE),
    "no table": ([{"ReadWriteType": "All"}], "PutItem", ORDERS, NONE),
    "reads": ([data(ALL, kind="ReadOnly")], "PutItem", ORDERS, NONE),
    "reads, of a read": ([data(ALL, kind="ReadOnly")], "Query", ORDERS, FULL),
    "reads and writes apart": ([data(ALL, kind="ReadOnly"), data(ORDERS, kind="WriteOnly")], "PutItem", ORDERS, FULL),
    "a stream of the table": ([data(ALL)], "GetRecords", ORDERS, FULL),
    "every table of another partition": ([data(ALL)], "PutItem", ORDERS.replace("arn:aws:", "arn:aws-cn:"), NONE),
    "every table of China": (
        [data("arn:aws-cn:dynamodb")],
        "PutItem",
        ORDERS.replace("arn:aws:", "arn:aws-cn:"),
        FULL,
    ),
    "management events by default": ([data(ALL)], CONTROL_PLANE, ORDERS, FULL),
    "management events left out": ([data(ALL) | {"IncludeManagementEvents": False}], CONTROL_PLANE, ORDERS, NONE),
    "management events of others left out": (
        [{"ExcludeManagementEventSources": ["kms.amazonaws.com"]}],
        CONTROL_PLANE,
        ORDERS,
        FULL,
    ),
    "management events that write": ([{"ReadWriteType": "WriteOnly"}], CONTROL_PLANE, ORDERS, PARTIAL),
}


@pytest.mark.parametrize("case", BASIC)
def test_basic_selectors_select_by_table_and_by_reading_or_writing(case):
    said, operation, table, selection = BASIC[case]

    assert selection is of_basic(*said, operation=operation, table=table).selection


def test_selectors_are_read_alike_from_the_api_and_from_a_record():
    spoken = fields(userIdentity_arn={"NotEquals": [ANA]}, readOnly={"Equals": ["true"]})
    recorded = {
        "name": "one",
        "fieldSelectors": [
            {name[0].lower() + name[1:]: value for name, value in one.items()} for one in spoken["FieldSelectors"]
        ],
    }

    assert advanced([spoken]) == advanced([recorded])


def test_trails_count_together():
    reads, writes = fields(readOnly={"Equals": ["true"]}), fields(readOnly={"Equals": ["false"]})
    selectors = [("one", advanced([reads])[0]), ("two", advanced([writes])[0])]

    answer = decide(named("SearchVectors"), ORDERS, selectors)

    assert (answer.selection, answer.trails) == (FULL, ("one", "two"))


def test_a_field_that_is_not_known_leaves_it_open_what_is_selected():
    answer = of(fields(vpcEndpointId={"Equals": ["vpce-1"]}))

    assert Selection.UNKNOWN is answer.selection
    assert excluded(answer) == ["trail audit asks about vpcEndpointId, which Dynatrail does not know"]


def test_a_field_that_is_not_known_does_not_matter_beside_a_selector_of_everything():
    assert FULL is of(fields(vpcEndpointId={"Equals": ["vpce-1"]}), fields()).selection


def test_a_trail_that_may_count_matters_only_for_what_others_leave_out():
    left_out = advanced([fields(userIdentity_arn={"NotEquals": [ANA]})])[0]
    same, whole = left_out, advanced([fields()])[0]

    with_the_same = decide(named("GetItem"), ORDERS, [(TRAIL, left_out)], [("perhaps", same)])
    with_more = decide(named("GetItem"), ORDERS, [(TRAIL, left_out)], [("perhaps", whole)])

    assert (with_the_same.selection, with_more.selection) == (PARTIAL, Selection.UNKNOWN)


def test_what_is_lost_between_two_answers_is_what_only_the_later_one_leaves_out():
    before = of(fields(userIdentity_arn={"NotEquals": [ANA]}))
    after = of(fields(userIdentity_arn={"NotEquals": [ANA, BATCH]}))

    found = lost(named("GetItem"), before, after)

    assert [tuple(who.equals for who in gap.identities) for gap in found] == [(BATCH,)]
    assert lost(named("GetItem"), after, before) == ()
    assert lost(named("GetItem"), after, after) == ()


def test_nothing_is_left_out_of_everything():
    assert lost(named(CONTROL_PLANE), of(operation=CONTROL_PLANE), everything(named(CONTROL_PLANE))) == ()


def test_every_data_operation_of_dynamodb_is_listed_with_its_resource():
    kinds = {name: one.calls[0].resource for name, one in operations().items() if name != CONTROL_PLANE}

    assert {"GetRecords", "GetShardIterator"} == {name for name, kind in kinds.items() if kind == STREAM}
    assert sum(kind == TABLE for kind in kinds.values()) == 14


def test_an_operation_without_what_it_says_is_refused(tmp_path):
    broken = tmp_path / "operations.yaml"
    broken.write_text(
        "data: [{eventName: GetItem, readOnly: maybe, resource: 'AWS::DynamoDB::Table'}]\ncontrol_plane: []\n"
    )

    with pytest.raises(SettingsError, match="readOnly of GetItem is none of true, false and unknown"):
        read(broken)


# What follows holds the answers against the sandbox, which decides call by call.

PIECES = ("iam::1:", "sts::1:", "user/", "role/", "a", "b", "ab")
ARNS = st.lists(st.sampled_from(PIECES), max_size=4).map(lambda parts: "arn:aws:" + "".join(parts))
CALLERS = st.one_of(st.just(""), ARNS)
NAMES = sorted(operations().keys() - {CONTROL_PLANE})


def cuts(text: str) -> st.SearchStrategy[str]:
    """The text, and what it begins and ends with."""
    return st.tuples(st.integers(1, len(text)), st.booleans()).map(
        lambda cut: text[: cut[0]] if cut[1] else text[-cut[0] :]
    )


LITERALS = st.one_of(ARNS.flatmap(cuts), ARNS, st.just("AWSServiceRoleFor"))
OPERATORS = ("Equals", "StartsWith", "EndsWith", "NotEquals", "NotStartsWith", "NotEndsWith")


def operators(literals: st.SearchStrategy[str]) -> st.SearchStrategy[Json]:
    lists = st.lists(literals, min_size=1, max_size=3)
    return st.dictionaries(st.sampled_from(OPERATORS), lists, min_size=1, max_size=3)


def conditions() -> st.SearchStrategy[Json]:
    true = st.just(["true"])
    return st.fixed_dictionaries(
        {},
        optional={
            "userIdentity_arn": operators(LITERALS),
            "readOnly": st.sampled_from([{"Equals": ["true"]}, {"Equals": ["false"]}, {"NotEquals": ["true"]}]),
            "sessionCredentialFromConsole": st.fixed_dictionaries({"Equals": true})
            | st.fixed_dictionaries({"NotEquals": true}),
            "eventName": operators(st.sampled_from([*NAMES, "Get", "Item", "Batch"])),
            "resources_ARN": operators(st.sampled_from([ORDERS, OTHER, ORDERS[:-3], "Orders", "arn:aws:dynamodb:"])),
        },
    )


ADVANCED = st.builds(
    lambda kind, more: fields(kind=kind, **more), st.sampled_from([TABLE, TABLE, STREAM]), conditions()
)
BASICS = st.builds(
    lambda kind, values: data(*values, kind=kind),
    st.sampled_from(["All", "ReadOnly", "WriteOnly"]),
    st.lists(st.sampled_from([ALL, ORDERS, OTHER, f"{ORDERS}/index/i"]), min_size=1, max_size=2),
)


def a_trail(*, selectors: Sequence[Json] = (), basics: Sequence[Json] = ()) -> Trail:
    return Trail(
        arn="arn:aws:cloudtrail:eu-west-1:123456789012:trail/audit",
        name=TRAIL,
        account_id=ACCOUNT,
        home_region=REGION,
        bucket="logs",
        logging=True,
        basic=list(basics),
        advanced=list(selectors),
        started_at=datetime(2026, 11, 1, tzinfo=UTC),
    )


def records(name: str, caller: str, *, console: bool) -> list[Json]:
    """The record of a call as the sandbox looks at it; of a stream's, once with either resource in front."""
    call = named(name).calls[0]
    resources = [{"type": TABLE, "ARN": ORDERS}]
    record = {
        "recipientAccountId": ACCOUNT,
        "awsRegion": REGION,
        "eventCategory": "Data",
        "eventSource": "dynamodb.amazonaws.com",
        "eventType": "AwsApiCall",
        "eventName": name,
        "readOnly": call.read_only,
        "userIdentity": {"arn": caller} if caller else {},
        **({"sessionCredentialFromConsole": "true"} if console else {}),
    }
    if call.resource != STREAM:
        return [{**record, "resources": resources}]
    both = [*resources, {"type": STREAM, "ARN": f"{ORDERS}/stream/2026-11-01T00:00:00.000"}]
    return [{**record, "resources": both}, {**record, "resources": both[::-1]}]


def leaves_out(gap: Gap, caller: str, *, console: bool) -> bool:
    return gap.console in {None, console} and (not gap.identities or any(who.has(caller) for who in gap.identities))


def agree(answer: Answer, trails: Sequence[Trail], name: str, callers: Sequence[str]) -> None:
    for caller in callers:
        for console in (True, False):
            selected = any(
                trail.selects(record, frozenset())
                for trail in trails
                for record in records(name, caller, console=console)
            )
            assert selected is not any(leaves_out(gap, caller, console=console) for gap in answer.gaps), (
                caller,
                console,
            )


ONE_SAID = [name for name in NAMES if len(named(name).calls) == 1]


@settings(max_examples=150)
@given(st.lists(ADVANCED, max_size=4), st.sampled_from(ONE_SAID), st.lists(CALLERS, min_size=1, max_size=8))
@example([fields(userIdentity_arn={"NotStartsWith": ["arn:aws:a"], "NotEndsWith": ["ab"]})], "GetItem", ["arn:aws:ab"])
def test_advanced_selectors_leave_out_exactly_the_calls_that_the_sandbox_leaves_out(said, name, callers):
    answer = of(*said, operation=name)

    literals = [
        text
        for one in said
        for field in one["FieldSelectors"]
        if field["Field"] == "userIdentity.arn"
        for operator in OPERATORS
        for text in field.get(operator, ())
    ]
    made = [f"{start}-{end}" for start in ("arn:", *literals) for end in ("", *literals)]
    agree(
        answer,
        [a_trail(selectors=said)] if said else [],
        name,
        [*callers, *(one for one in (*literals, *made) if one.startswith("arn:"))],
    )


@settings(max_examples=60)
@given(st.lists(ADVANCED, max_size=2), st.lists(BASICS, min_size=1, max_size=2), st.sampled_from(ONE_SAID), CALLERS)
def test_a_trail_of_each_kind_leaves_out_exactly_what_both_leave_out(said, basics, name, caller):
    selectors: list[tuple[str, Selector]] = [("a", one) for one in advanced(said)] + [
        ("b", one) for one in basic(basics)
    ]
    trails = [a_trail(basics=basics), *([a_trail(selectors=said)] if said else [])]

    # The sandbox has one resource of the two that a stream's record names, so basic selectors are asked with the table.
    agree(decide(named(name), ORDERS, selectors), trails, name, [caller, "", "arn:aws:iam::1:user/z"])


@settings(max_examples=60)
@given(st.lists(ADVANCED, max_size=3), st.lists(ADVANCED, max_size=3), CALLERS, st.booleans())
def test_what_is_lost_was_selected_and_is_not_any_more(said, later, caller, console):
    before, after = of(*said), of(*later)

    found = any(leaves_out(gap, caller, console=console) for gap in lost(named("GetItem"), before, after))

    was = not any(leaves_out(gap, caller, console=console) for gap in before.gaps)
    is_now = not any(leaves_out(gap, caller, console=console) for gap in after.gaps)
    assert (was and not is_now) is found
