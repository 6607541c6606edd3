"""What a DynamoDB call needs: the pairs of action and resource that IAM was asked for.

"Actions, resources, and condition keys for Amazon DynamoDB" (service authorization reference), "Using IAM with DynamoDB
transactions", "IAM security policies with PartiQL for DynamoDB": transactions and PartiQL have no action of their own,
their members have; a read of an index is one of the index's ARN.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dynatrail.arns import table_arn

DYNAMODB = "dynamodb.amazonaws.com"

TRANSACTIONS = frozenset(("TransactWriteItems", "TransactGetItems", "ExecuteTransaction"))
PARTIQL = frozenset(("ExecuteStatement", "BatchExecuteStatement", "ExecuteTransaction"))
_MEMBERS = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
    "Get": "GetItem",
}
_VERBS = {
    "SELECT": "PartiQLSelect",
    "INSERT": "PartiQLInsert",
    "UPDATE": "PartiQLUpdate",
    "DELETE": "PartiQLDelete",
}
_ON_INDEXES = frozenset(("Query", "Scan", "SearchVectors", "DescribeContributorInsights", "UpdateContributorInsights"))
EVERYTHING = "*"
_NO_RESOURCE = frozenset(
    ("ListTables", "ListBackups", "ListExports", "ListImports", "ListGlobalTables", "ListStreams", "DescribeLimits")
    + ("ListContributorInsights", "ListBulkOperations", "DescribeEndpoints", "DescribeReservedCapacity")
    + ("DescribeReservedCapacityOfferings", "PurchaseReservedCapacityOfferings")
)
"""Operations without resource-level permissions: only a statement about everything (`*`) allows them."""

_BY_OWN_ARN = frozenset(
    ("DescribeStream", "GetRecords", "GetShardIterator", "DescribeBackup", "DeleteBackup", "DescribeExport")
    + ("DescribeImport", "GetResourcePolicy", "PutResourcePolicy", "DeleteResourcePolicy", "TagResource")
    + ("UntagResource", "ListTagsOfResource", "DescribeBulkOperation", "CancelBulkOperation")
)
"""Operations whose resource is the ARN that the request names: of a stream, a backup, an export, …"""

_RESTORED = ("BatchWriteItem", "DeleteItem", "GetItem", "PutItem", "Query", "Scan", "UpdateItem")
"""What restoring needs on the new table, besides itself ("Using IAM with DynamoDB backup and restore")."""

_QUOTED = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|;""")
_TARGET = re.compile(
    r"""^\s*(?:EXISTS\s*\(\s*)?(?:(SELECT)\b.*?\bFROM|(INSERT)\s+INTO|(UPDATE)|(DELETE)\s+FROM)\s*"""
    r"""("[^"]+"|[\w.\-:/]+)(?:\s*\.\s*("[^"]+"|[\w.\-]+))?""",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Need:
    """One action on one resource; None as resource: the record does not say which."""

    action: str
    resource: str | None


@dataclass(frozen=True, slots=True)
class Request:
    """What of a call says what it needs.

    Attributes:
        owner: account that the record's table belongs to when the record has only its name.
        members: `Operation table-ARN` of the items of a batch or transaction.
        statement: PartiQL text; its values do not matter.
        own_arn: ARN that the request names as its resource.
    """

    event_name: str
    owner: str
    region: str
    table_arns: tuple[str, ...] = ()
    table_names: tuple[str, ...] = ()
    index_name: str | None = None
    members: tuple[str, ...] = ()
    statement: str | None = None
    own_arn: str | None = None


def needs(request: Request) -> tuple[Need, ...]:
    """The pairs of a call, each once, in a fixed order; never none."""
    return tuple(sorted(set(_needs(request)), key=lambda one: (one.action, one.resource or "")))


def _needs(request: Request) -> Iterator[Need]:
    name = request.event_name
    tables: Sequence[str | None] = request.table_arns or tuple(
        one if one.startswith("arn:") else table_arn(request.owner, request.region, one) for one in request.table_names
    )
    if name in PARTIQL:
        yield from _partiql(request)
    elif name in ("TransactWriteItems", "TransactGetItems"):
        yield from _transaction(request, tables or (None,))
    elif name in _NO_RESOURCE:
        yield _need(name, EVERYTHING)
    elif name in _BY_OWN_ARN and request.own_arn:
        yield _need(name, request.own_arn)
    elif name == "RestoreTableFromBackup":
        yield _need(name, request.own_arn)
        yield from (_need(action, table) for table in tables or (None,) for action in (name, *_RESTORED))
    elif name in _ON_INDEXES and request.index_name:
        index = f"/index/{request.index_name}"
        yield from (_need(name, table and table + index) for table in tables or (None,))
    else:
        yield from (_need(name, table) for table in tables or (None,))


def _transaction(request: Request, tables: Sequence[str | None]) -> Iterator[Need]:
    for member in request.members:
        operation, _, table = member.partition(" ")
        yield _need(_MEMBERS.get(operation, operation), table or None)
    if not request.members and request.event_name == "TransactGetItems":
        yield from (_need("GetItem", table) for table in tables)
    elif not request.members:
        yield _need("TransactWriteItems", None)


def _partiql(request: Request) -> Iterator[Need]:
    # Some tables are named by their ARN; the columns know which table that is.
    by_name = {arn.rsplit("/", 1)[-1]: arn for arn in request.table_arns}
    told = False
    for text in statements(request.statement or ""):
        if not (found := _TARGET.match(text)):
            continue
        told = True
        table, index = found[5].strip('"'), (found[6] or "").strip('"')
        if "/index/" in table:
            table, _, index = table.partition("/index/")
        if table not in by_name and not table.startswith("arn:") and "." in table:
            # DynamoDB takes `Table.Index` without quotes; a table may have a dot in its name as well.
            name, _, rest = table.rpartition(".")
            table, index = (name, rest) if name in by_name else (table, index)
        arn = table if table.startswith("arn:") else by_name.get(table)
        arn = arn or table_arn(request.owner, request.region, table)
        verb = (found[1] or found[2] or found[3] or found[4]).upper()
        yield _need(_VERBS[verb], f"{arn}/index/{index}" if index and verb == "SELECT" else arn)
    if not told:
        yield _need("PartiQLSelect" if request.event_name == "ExecuteStatement" else request.event_name, None)


def statements(text: str) -> Iterator[str]:
    """The statements of a text, cut at semicolons that are not inside quotes."""
    at = 0
    for found in _QUOTED.finditer(text):
        if found[0] == ";":
            yield text[at : found.start()]
            at = found.end()
    yield text[at:]


def _need(operation: str, resource: str | None) -> Need:
    return Need(f"dynamodb:{operation}", resource)
