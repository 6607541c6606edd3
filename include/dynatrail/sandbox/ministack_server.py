"""Run ministack as the sandbox wants it. A script for ministack's own interpreter: it imports nothing of Dynatrail.

Some things differ from `python -m ministack`:

- it ends when its standard input closes, so that it never outlives the sandbox, however that one dies; ending this way
  still saves its state;
- its ids (keys, roles, tables, sessions) come from `DYNATRAIL_SANDBOX_SEED`, a stream for each place in
  ministack that asks for one, so that the same scenario makes the same ids whatever health checks happen in between;
- stream labels tell the sandbox instant at which a stream was enabled, which comes with the request;
- it knows `AssumeRoleWithSAML`, which ministack 1.5 lacks. The assertion's signature is not checked: who can reach the
  sandbox may be anyone;
- it writes every write to an item, with the image before and after, to `DYNATRAIL_SANDBOX_CHANGES`, and says in each
  DynamoDB answer how far that file reached then (`x-dynatrail-changes`);
- it neither expires items by real time nor copies writes to replicas at once: the sandbox does both, in its own time.

Keys and secrets are therefore predictable. That is what a reproducible account of invented data needs, and one reason
more for it to listen on loopback only.
"""

import base64
import json
import os
import random
import re
import signal
import sys
import threading
import time
import uuid
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

_ATTRIBUTE = re.compile(
    r'Name="https://aws\.amazon\.com/SAML/Attributes/(?P<name>\w+)"[^>]*>\s*<\w*:?AttributeValue[^>]*>(?P<value>[^<]*)<'
)
_SUBJECT = re.compile(r"<\w*:?NameID[^>]*>([^<]*)<")
_ISSUER = re.compile(r"<\w*:?Issuer[^>]*>([^<]*)<")


def end_with_standard_input() -> None:
    def wait() -> None:
        sys.stdin.buffer.read()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


def seed_ids(seed: str) -> None:
    @cache
    def stream(place: str) -> random.Random:
        return random.Random(f"{seed}:{place}")

    def uuid4() -> uuid.UUID:
        frame = sys._getframe(1)  # noqa: SLF001  the caller's place is the stream's name
        if frame.f_code.co_name == "new_uuid" and frame.f_back:
            frame = frame.f_back
        place = f"{frame.f_globals.get('__name__')}.{frame.f_code.co_name}"
        return uuid.UUID(int=stream(place).getrandbits(128), version=4)

    uuid.uuid4 = uuid4


def label_streams_by_sandbox_time() -> None:
    """A label is the time of the enabling; no two are the same, although sandbox time may stand still."""
    from ministack.services import dynamodb

    plain = dynamodb.handle_request
    latest = datetime.min.replace(tzinfo=UTC)
    told: datetime | None = None

    async def handle_request(method: str, path: str, headers: dict[str, str], body: bytes, query: Any) -> Any:
        nonlocal told
        stamp = headers.get("x-dynatrail-now")
        told = datetime.fromisoformat(stamp) if stamp else None
        return await plain(method, path, headers, body, query)

    def stream_label() -> str:
        nonlocal latest
        latest = max(told or datetime.now(UTC), latest + timedelta(milliseconds=1))
        return f"{latest:%Y-%m-%dT%H:%M:%S.%f}"[:-3]

    dynamodb.handle_request, dynamodb._stream_label = handle_request, stream_label  # noqa: SLF001


def saml_session(parameters: dict[str, list[str]]) -> Any:
    """Answer one AssumeRoleWithSAML call; the shape of the answer is the STS API reference's."""
    from ministack.core.iam_evaluator import EvalContext, evaluate_trust_policy
    from ministack.core.responses import get_region
    from ministack.services import iam, sts

    role_arn, provider = parameters["RoleArn"][0], parameters["PrincipalArn"][0]
    assertion = base64.b64decode(parameters["SAMLAssertion"][0]).decode(errors="replace")
    attributes = {match["name"]: match["value"] for match in _ATTRIBUTE.finditer(assertion)}
    subject, issuer = _SUBJECT.search(assertion), _ISSUER.search(assertion)
    session_name = attributes.get("RoleSessionName", "")
    if not (session_name and subject and issuer):
        return iam._error(  # noqa: SLF001  ministack's own answers have no public maker
            400, "InvalidIdentityToken", "The assertion names no subject, issuer or RoleSessionName.", ns="sts"
        )
    account = role_arn.split(":")[4]
    role = iam._roles.get_scoped(account, None, role_arn.rsplit("/", 1)[-1])  # noqa: SLF001
    audience = "https://signin.aws.amazon.com/saml"
    # ministack matches Federated principals for web identities only: ask it the same question under that name.
    trust = json.dumps(role["AssumeRolePolicyDocument"]) if role else "{}"
    if role and isinstance(role["AssumeRolePolicyDocument"], str):
        trust = role["AssumeRolePolicyDocument"]
    context = EvalContext(
        principal_arn=provider,
        principal_type="WebIdentityUser",
        principal_account=account,
        action="sts:AssumeRoleWithWebIdentity",
        resource_arn=role_arn,
        region=get_region(),
        service_context={"saml:aud": audience, "saml:iss": issuer[1], "saml:sub": subject[1]},
    )
    if not evaluate_trust_policy(
        trust.replace("sts:AssumeRoleWithSAML", "sts:AssumeRoleWithWebIdentity"), provider, context
    ):
        return iam._error(403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithSAML", ns="sts")  # noqa: SLF001
    seconds = int(parameters.get("DurationSeconds", ["3600"])[0])
    key, secret, token = sts._gen_session_access_key(), sts._gen_secret(), sts._gen_session_token()  # noqa: SLF001
    role_id = sts._role_id(role_arn)  # noqa: SLF001
    arn = f"arn:aws:sts::{account}:assumed-role/{role_arn.rsplit('/', 1)[-1]}/{session_name}"
    session = {
        "Arn": arn,
        "UserId": f"{role_id}:{session_name}",
        "SecretAccessKey": secret,
        "SessionToken": token,
        "Expiration": time.time() + seconds,
        "AccountId": account,
        "PrincipalType": "AssumedRole",
    }
    sts.register_session(key, session)
    qualifier = base64.b64encode(uuid.uuid5(uuid.NAMESPACE_URL, f"{issuer[1]}{account}{provider}").bytes).decode()
    fields = {
        "Subject": subject[1],
        "SubjectType": "persistent",
        "Issuer": issuer[1],
        "Audience": audience,
        "NameQualifier": qualifier,
    }
    inner = (
        f"<AssumeRoleWithSAMLResult><Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>{secret}"
        f"</SecretAccessKey><SessionToken>{token}</SessionToken><Expiration>{iam._future(seconds)}</Expiration>"  # noqa: SLF001
        f"</Credentials><AssumedRoleUser><AssumedRoleId>{escape(session['UserId'])}</AssumedRoleId>"
        f"<Arn>{escape(arn)}</Arn></AssumedRoleUser>"
        + "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields.items())
        + "</AssumeRoleWithSAMLResult>"
    )
    return iam._xml(200, "AssumeRoleWithSAMLResponse", inner, ns="sts")  # noqa: SLF001


def add_saml() -> None:
    from ministack.services import sts

    plain = sts.handle_request

    async def handle_request(method: str, path: str, headers: dict[str, str], body: bytes, query: Any) -> Any:
        parameters = parse_qs(body.decode(errors="replace")) if body else {}
        if parameters.get("Action") == ["AssumeRoleWithSAML"]:
            return saml_session(parameters)
        return await plain(method, path, headers, body, query)

    sts.handle_request = handle_request


def leave_expiry_to_the_sandbox() -> None:
    """Import the module without its reaper, whose clock is the real one."""
    start = threading.Thread.start

    def start_others(thread: threading.Thread) -> None:
        if thread.name != "dynamodb-ttl-reaper":
            start(thread)

    threading.Thread.start = start_others  # type: ignore[method-assign,assignment]
    try:
        from ministack.services import dynamodb
    finally:
        threading.Thread.start = start  # type: ignore[method-assign]
    dynamodb._replicate_write = lambda *_: None  # noqa: SLF001  the sandbox replicates later


def write_changes(path: str) -> None:
    """Append every write to an item to `path`: one line `{"table", "key", "old", "new", "cause"}`, in their order.

    A request is handled at one go on ministack's only event loop, so what it wrote lies together. What a transaction
    wrote and took back is left out. An import writes from a thread of its own; its lines follow with the next request.
    Images are as stored: numbers are decimal text, binary is base64.
    """
    from ministack.services import dynamodb

    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    lines: list[bytes] = []
    imported: list[bytes] = []

    def note(table: dict[str, Any], old: Any, new: Any) -> None:
        item = old if new is None else new
        names = [name for name in (table["pk_name"], table["sk_name"]) if name]
        key = {name: item[name] for name in names if name in item}
        cause = "import" if threading.current_thread().name == "ministack-ddb-import" else None
        line = {"table": table["TableArn"], "key": key, "old": old, "new": new, "cause": cause}
        (imported if cause else lines).append(json.dumps(line, separators=(",", ":")).encode() + b"\n")

    set_item, remove_item = dynamodb._set_item, dynamodb._remove_item  # noqa: SLF001  all writes go through these two

    def set_and_note(table: dict[str, Any], partition: Any, sort: Any, item: Any) -> Any:
        note(table, table["items"].get(partition, {}).get(sort), item)
        return set_item(table, partition, sort, item)

    def remove_and_note(table: dict[str, Any], partition: Any, sort: Any) -> Any:
        old = remove_item(table, partition, sort)
        if old is not None:
            note(table, old, None)
        return old

    dynamodb._set_item, dynamodb._remove_item = set_and_note, remove_and_note  # noqa: SLF001
    plain = dynamodb.handle_request

    async def handle_request(method: str, path: str, headers: dict[str, str], body: bytes, query: Any) -> Any:
        status, answer_headers, answer = await plain(method, path, headers, body, query)
        if status >= 400 and "Transact" in headers.get("x-amz-target", ""):  # noqa: PLR2004  rolled back
            lines.clear()
        earlier = imported[:]
        del imported[: len(earlier)]
        start, content = os.fstat(file).st_size + sum(map(len, earlier)), b"".join([*earlier, *lines])
        lines.clear()
        while content:
            content = content[os.write(file, content) :]
        return status, {**answer_headers, "x-dynatrail-changes": f"{start}-{os.fstat(file).st_size}"}, answer

    dynamodb.handle_request = handle_request


def name_streams_to_policies() -> None:
    """Let IAM see the stream that a GetRecords call reads; it is in the sandbox's shard iterators, as in AWS's."""
    from ministack.core import iam_actions

    plain = iam_actions.extract_resource_arn

    def extract_resource_arn(service: str, method: str, path: str, headers: Any, body: bytes, *more: Any) -> Any:
        if "DynamoDBStreams" in headers.get("x-amz-target", ""):
            try:
                sent = json.loads(body or b"{}")
                arn = sent.get("StreamArn") or str(sent.get("ShardIterator", "")).partition("|")[0]
            except (ValueError, AttributeError):
                arn = ""
            if arn.startswith("arn:"):
                return arn
        return plain(service, method, path, headers, body, *more)

    iam_actions.extract_resource_arn = extract_resource_arn


def ask_iam_about_more() -> None:
    """Let IAM decide on what ministack lets everybody do: services that only the sandbox has, policies, tags, exports.

    A call of such a service ends in `Unsupported service`, but only where the caller's policy allows it.
    """
    from ministack.core import iam_actions

    more = {name: name for name in ("sso", "identitystore", "access-analyzer", "application-autoscaling")}
    iam_actions.SERVICE_TO_IAM_NAMESPACE.update(more)
    iam_actions._BOTOCORE_SERVICE_MAP["access-analyzer"] = ["accessanalyzer"]  # noqa: SLF001
    plain_arn, plain_action = iam_actions.extract_resource_arn, iam_actions.extract_iam_action

    def extract_resource_arn(service: str, method: str, path: str, headers: Any, body: bytes, *rest: Any) -> Any:
        for name in ("ResourceArn", "TableArn", "ExportArn") if service == "dynamodb" else ():
            if f'"{name}"'.encode() in body:
                with suppress(ValueError, AttributeError):
                    if str(arn := json.loads(body).get(name)).startswith("arn:"):
                        return arn
        return plain_arn(service, method, path, headers, body, *rest)

    def extract_iam_action(*request: Any) -> Any:
        action = plain_action(*request)  # the actions of the second versions are those of the first
        if action and action.startswith("access-analyzer:"):
            return action.removesuffix("V2")
        if action == "cloudtrail:ListInsightsMetricData":
            return "cloudtrail:ListInsightsData"
        return action

    iam_actions.extract_resource_arn, iam_actions.extract_iam_action = extract_resource_arn, extract_iam_action


if __name__ == "__main__":
    end_with_standard_input()
    leave_expiry_to_the_sandbox()
    from ministack.app import main

    seed_ids(os.environ["DYNATRAIL_SANDBOX_SEED"])
    label_streams_by_sandbox_time()
    add_saml()
    write_changes(os.environ["DYNATRAIL_SANDBOX_CHANGES"])
    name_streams_to_policies()
    ask_iam_about_more()
    main()
