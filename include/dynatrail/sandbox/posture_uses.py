"""Who used DynamoDB and their keys last, in sandbox time: IAM's access advisor and the credential report.

ministack knows no uses and stamps its report in real time. As AWS does, uses show some four hours late, denied attempts
count, and a report is made anew at most every four hours.
"""

import base64
import csv
import io
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from xml.sax.saxutils import escape

import msgspec

from dynatrail.clock import hour_of, iso, parse_instant
from dynatrail.sandbox.hop import Response
from dynatrail.sandbox.parts import Seen

Json = dict[str, Any]

LAG = timedelta(hours=4)
_ADVISED = frozenset({"dynamodb", "dynamodbstreams"})
_JOB = re.compile(r"<JobId>([^<]+)</JobId>")
_CONTENT = re.compile(r"<Content>([^<]*)</Content>")
_TIMES = ("user_creation_time", "password_last_changed", "access_key_1_last_rotated", "access_key_2_last_rotated")


class Use(msgspec.Struct, frozen=True):
    """One use of an identity or key."""

    at: datetime
    region: str
    service: str
    entity: str


class _State(msgspec.Struct):
    """Uses by principal ARN and by key, oldest first; jobs by id; reports by account, with their time."""

    principals: dict[str, list[Use]] = {}
    keys: dict[str, list[Use]] = {}
    jobs: dict[str, str] = {}
    reports: dict[str, tuple[datetime, str]] = {}


class IdentityUses:
    """The part; see `parts.Part`.

    Args:
        identities: `userIdentity` by access key, as the recorder has learnt them.
        at: the sandbox instant that held at a real one.
    """

    name = "posture_uses"

    def __init__(self, identities: Mapping[str, Json], at: Callable[[datetime], datetime]) -> None:
        self._identities = identities
        self._at = at
        self._state = _State()

    def saw(self, seen: Seen) -> None:
        call = seen.call
        identity = self._identities.get(call.access_key_id)
        if identity is None:
            return
        use = Use(seen.now.replace(microsecond=0), call.region, call.service, identity["arn"])
        _keep(self._state.keys.setdefault(call.access_key_id, []), use)
        if call.service in _ADVISED:
            issuer = identity.get("sessionContext", {}).get("sessionIssuer", identity)
            _keep(self._state.principals.setdefault(issuer["arn"], []), use)

    def answer(self, seen: Seen) -> Response | None:
        if seen.call.service != "iam" or not seen.ok:
            return None
        match seen.call.operation:
            case "GenerateServiceLastAccessedDetails":
                if found := _JOB.search(seen.response.body.decode()):
                    self._state.jobs[found[1]] = str(seen.call.parameters.get("Arn", ""))
            case "GetServiceLastAccessedDetails":
                return self._advice(seen)
            case "GetCredentialReport":
                return self._report(seen)
        return None

    def tick(self, now: datetime) -> None:
        pass

    def save(self) -> bytes:
        return msgspec.msgpack.encode(self._state)

    def load(self, saved: bytes) -> None:
        self._state = msgspec.msgpack.decode(saved, type=_State)

    def _advice(self, seen: Seen) -> Response:
        arn = self._state.jobs.get(str(seen.call.parameters.get("JobId", "")), "")
        fields = "<ServiceName>Amazon DynamoDB</ServiceName><ServiceNamespace>dynamodb</ServiceNamespace>"
        use = _last(self._state.principals.get(arn, []), seen.now)
        if use:
            fields += (
                f"<LastAuthenticated>{iso(use.at)}</LastAuthenticated>"
                f"<LastAuthenticatedEntity>{escape(arn)}</LastAuthenticatedEntity>"
                f"<LastAuthenticatedRegion>{use.region}</LastAuthenticatedRegion>"
            )
        fields += f"<TotalAuthenticatedEntities>{int(use is not None)}</TotalAuthenticatedEntities>"
        member = f"<ServicesLastAccessed><member>{fields}</member></ServicesLastAccessed>"
        text = seen.response.body.decode().replace("<ServicesLastAccessed></ServicesLastAccessed>", member)
        return Response(200, seen.response.headers, text.encode())

    def _report(self, seen: Seen) -> Response:
        text = seen.response.body.decode()
        made = self._state.reports.get(seen.account_id)
        if made is None or seen.now - made[0] >= LAG:
            found = _CONTENT.search(text)
            report = self._rewritten(base64.b64decode(found[1]).decode() if found else "", seen)
            made = self._state.reports[seen.account_id] = (seen.now, report)
        content = base64.b64encode(made[1].encode()).decode()
        text = _CONTENT.sub(f"<Content>{content}</Content>", text)
        text = re.sub(r"<GeneratedTime>[^<]*<", f"<GeneratedTime>{iso(made[0].replace(microsecond=0))}<", text)
        return Response(200, seen.response.headers, text.encode())

    def _rewritten(self, report: str, seen: Seen) -> str:
        """The report in sandbox time, with what is known of uses. A root account is as old as the sandbox can tell."""
        rows = list(csv.DictReader(io.StringIO(report)))
        for row in rows:
            for name in _TIMES:
                if row.get(name, "")[:2] == "20":
                    row[name] = iso(self._at(parse_instant(row[name])).replace(microsecond=0))
            if row["user"] == "<root_account>":
                row["user_creation_time"] = "2025-01-01T00:00:00Z"
            keys = [
                key
                for key, identity in self._identities.items()
                if identity.get("arn") == row["arn"] and key.startswith("AKIA")
            ]
            for number, key in enumerate(keys[:2], 1):
                if use := _last(self._state.keys.get(key, []), seen.now):
                    start = f"access_key_{number}_last_used"
                    row |= {
                        f"{start}_date": iso(use.at),
                        f"{start}_region": use.region,
                        f"{start}_service": use.service,
                    }
        out = io.StringIO()
        if rows:
            writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        return out.getvalue()


def _keep(uses: list[Use], use: Use) -> None:
    """Add a use; of an hour the last, and of those that show already only the latest."""
    if uses and hour_of(uses[-1].at) == hour_of(use.at):
        uses[-1] = use
    else:
        uses.append(use)
    while len(uses) > 1 and uses[1].at <= use.at - LAG:
        uses.pop(0)


def _last(uses: list[Use], now: datetime) -> Use | None:
    return next((use for use in reversed(uses) if use.at <= now - LAG), None)
