"""The careful path for request and response shapes that are not known: keep the names, mask what cannot be vouched for.

No public sample shows how CloudTrail records BatchGetItem, BatchWriteItem, TransactGetItems, ExecuteTransaction or
SearchVectors (aws-facts a4), and new calls will come. Such records must survive with their structure and without a
value. A dictionary walk is affordable here because these records are the exception.
"""

import re
from typing import Any

import msgspec

from dynatrail.privacy import expressions, partiql
from dynatrail.privacy.documents import KEY_CONDITION, without_item_values
from dynatrail.privacy.requests import DataRequests, Item, Request

REDACTED = "***"

# Names whose plain values describe the request and never hold an item's value.
_PLAIN = frozenset(
    """
    tablename tablearn indexname operation operationtype streamarn shardid sharditeratortype select limit topk segment
    totalsegments scanindexforward consistentread returnvalues returnconsumedcapacity returnitemcollectionmetrics
    returnvaluesonconditioncheckfailure conditionaloperator comparisonoperator action exists vpcendpointaccountid
    """.split()  # noqa: SIM905  a list of words reads better than a list of literals
)
_EXPRESSIONS = frozenset(
    """
    updateexpression conditionexpression keyconditionexpression filterexpression projectionexpression
    searchconditionexpression
    """.split()  # noqa: SIM905
)
_KEYS = frozenset(("key", "keys", "exclusivestartkey"))
_NAME_LISTS = frozenset(("items", "item", "attributestoget", "attributenames"))
_OPERATION = {"putrequest": "Put", "put": "Put", "deleterequest": "Delete", "delete": "Delete", "update": "Update"}
_OPERATION |= {"get": "Get", "conditioncheck": "ConditionCheck"}
_OPERATIONS = frozenset(_OPERATION.values())
_BY_CALL = {"BatchGetItem": "Get", "TransactGetItems": "Get", "GetItem": "Get", "PutItem": "Put"}
_BY_CALL |= {"UpdateItem": "Update", "DeleteItem": "Delete"}
_SECRET = re.compile(
    rb'"\w*(?:sessionToken|secretAccessKey|password|privateKey|secretString|secretBinary|webIdentityToken|'
    rb"sAMLAssertion|tokenCode|expressionAttributeValues|plaintext|clientSecret|"
    rb'keyConditionExpression|filterExpression|statement)"\s*:|"(?:key|keys|exclusiveStartKey)"\s*:\s*[\[{]|\\u|'
    rb"leadingKeys|partitionKeyValues",
    re.IGNORECASE,
)
_SECRET_NAME = re.compile(
    r"sessiontoken|secretaccesskey|password|privatekey|secretstring|secretbinary|webidentitytoken|samlassertion$|"
    r"tokencode|plaintext|clientsecret",
    re.IGNORECASE,
)
_READS = ("Query", "SearchVectors")
_decode = msgspec.json.Decoder(float_hook=str).decode
_encode = msgspec.json.Encoder().encode


class _Walk:
    """One walk over one requestParameters object."""

    def __init__(self, requests: DataRequests, event_name: str) -> None:
        self.requests = requests
        self.tokens = requests.tokens
        self.operation = _BY_CALL.get(event_name)
        self.reads = event_name in _READS
        self.tables: set[str] = set()
        self.items: list[Item] = []
        self.statements: list[str] = []
        self.values: dict[str, str] = {}
        self.index: str | None = None
        self.condition: tuple[str | None, list[str] | None] = (None, None)

    def object(self, value: dict[str, Any], table: str | None, operation: str | None) -> dict[str, Any]:
        lowered = {name.lower(): name for name in value}
        if "tablename" in lowered and isinstance(named := value[lowered["tablename"]], str):
            table = named
            self.tables.add(named)
        if "operation" in lowered and _is_operation(said := value[lowered["operation"]]):
            operation = said
        return {name: self.member(name, inner, table, operation) for name, inner in value.items()}

    def member(self, name: str, value: Any, table: str | None, operation: str | None) -> Any:
        low = name.lower()
        if low in _OPERATION and isinstance(value, dict):
            return self.object(value, table, _OPERATION[low])
        masked = value
        if low in _KEYS:
            masked = self.keys(value, table, operation, names_item=low != "exclusivestartkey")
        elif low == "requestitems" and isinstance(value, dict):
            masked = {named: self.by_table(named, inner, operation) for named, inner in value.items()}
        elif low == "statement" and isinstance(value, str):
            masked = self.statement(value)
        elif low == "expressionattributenames" and isinstance(value, dict):
            masked = {k: v if isinstance(v, str) else self.leaf(v) for k, v in value.items()}
        elif low in _NAME_LISTS and isinstance(value, list) and all(isinstance(x, str) for x in value):
            masked = value
        elif low == "item" and isinstance(value, dict):
            self.items.append(Item(table, operation or "Put", None, None, sorted(value), None))
            masked = dict.fromkeys(value, REDACTED)
        elif low in _EXPRESSIONS and isinstance(value, str):
            masked = expressions.without_literals(value)
        elif low in _PLAIN and not isinstance(value, dict | list):
            masked = self.plain(low, value)
        else:
            masked = self.leaf(value, table, operation)
        return masked

    def plain(self, low: str, value: Any) -> Any:
        if low == "indexname" and isinstance(value, str):
            self.index = value
        return value if low != "operation" or _is_operation(value) else self.leaf(value)

    def by_table(self, table: str, value: Any, operation: str | None) -> Any:
        """`requestItems` as a map by table, the shape of the API's own request."""
        self.tables.add(table)
        return self.leaf(value, table, operation)

    def leaf(self, value: Any, table: str | None = None, operation: str | None = None) -> Any:
        if isinstance(value, dict):
            return self.object(value, table, operation)
        if isinstance(value, list):
            return [self.leaf(inner, table, operation) for inner in value]
        if value is None or isinstance(value, bool):
            return value
        text = str(value)
        token = self.values[text] = self.tokens.value(text)
        return token

    def keys(self, value: Any, table: str | None, operation: str | None, *, names_item: bool) -> Any:
        if isinstance(value, list):
            return [self.keys(inner, table, operation, names_item=names_item) for inner in value]
        try:
            pairs, tokens, clear = self.requests.key(_encode(value), table)
        except msgspec.ValidationError:
            return self.leaf(value, table, operation)
        self.values |= clear
        done = operation or self.operation
        if names_item and done:
            self.items.append(Item(table, done, self.tokens.item(pairs), sorted(tokens), None, None))
        elif names_item and self.reads:
            self.condition = (self.tokens.item(pairs), sorted(tokens))
        return tokens

    def statement(self, text: str) -> str:
        statement = partiql.read(text, self.tokens)
        self.items += self.requests.statement_items(statement)
        self.values |= statement.clear
        self.statements.append(statement.text)
        if statement.table:
            self.tables.add(statement.table)
        return statement.text


def _is_operation(value: object) -> bool:
    return isinstance(value, str) and value in _OPERATIONS


def mask_data(requests: DataRequests, event_name: str, raw: bytes) -> Request:
    """Mask the parameters of a DynamoDB data event of unknown shape."""
    value = _decode(raw)
    walk = _Walk(requests, event_name)
    masked = walk.leaf(value)
    return Request(
        _encode(masked).decode(),
        tuple(sorted(walk.tables)),
        walk.index,
        statement="; ".join(walk.statements) or None,
        condition_token=walk.condition[0],
        condition_attributes=walk.condition[1],
        items=tuple(walk.items),
        values=walk.values,
    )


def mask_other(requests: DataRequests, raw: bytes) -> str:
    """Keep configuration as it is, but no credential, no secret, and no value of an item key, filter or statement."""
    if not _SECRET.search(raw):
        return raw.decode("utf-8", "replace")
    return _encode(_without_secrets(_decode(raw), requests)).decode()


def _without_secrets(value: Any, requests: DataRequests) -> Any:
    if isinstance(value, list):
        return [_without_secrets(inner, requests) for inner in value]
    if isinstance(value, str):
        policy = without_item_values(value, lambda: requests.tokens)
        return value if policy is value else _encode(policy).decode()
    if not isinstance(value, dict):
        return value
    return {name: _without_secret(name, inner, requests) for name, inner in value.items()}


def _without_secret(name: str, inner: Any, requests: DataRequests) -> Any:
    low = name.lower()
    if low in _KEYS and (
        isinstance(inner, dict) or (isinstance(inner, list) and any(isinstance(x, dict) for x in inner))
    ):
        # An item key where none belongs: a record that calls an item's request a management event, for instance.
        return _Walk(requests, "").leaf(inner)
    if _SECRET_NAME.search(name):
        return inner if inner is None or isinstance(inner, bool) else REDACTED
    if low == "expressionattributevalues":
        return dict.fromkeys(inner, REDACTED) if isinstance(inner, dict) else REDACTED
    if low in _EXPRESSIONS and isinstance(inner, str):
        return expressions.without_literals(inner)
    if KEY_CONDITION.fullmatch(name):
        return without_item_values({name: inner}, lambda: requests.tokens)[name]
    if low == "statement" and isinstance(inner, str):
        return partiql.read(inner, requests.tokens).text
    return _without_secrets(inner, requests)
