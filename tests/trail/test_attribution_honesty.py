"""What is called certain is right, whatever the history: small worlds made to mislead, many at once."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from dynatrail.clock import hour_of
from dynatrail.trail import attribution
from dynatrail.trail.alignment_classes import SUREST_S
from dynatrail.warehouse.schema import TABLES

START = datetime(2026, 11, 1, 12, tzinfo=UTC)
ACCOUNT = "123456789012"
PEOPLE = [f"arn:aws:iam::{ACCOUNT}:user/{name}" for name in ("anna", "ben", "carla")]
NAMES = ["a", "b", "c", "d"]
MISLEADING = ("missing", "noop", "retry", "partiql", "unnamed", "batch", "skew", "slow", "forged", "shared")
MISLEADING += ("failed", "unsure", "expiry", "replica", "bulk", "second")


@dataclass
class World:
    """One table in a region of its own (so that no other table tells anything of it), and what really happened.

    Attributes:
        truth: change -> event and principal that made it; None, None: nobody's request.
    """

    number: int
    rng: np.random.Generator
    rows: dict[str, list] = field(default_factory=lambda: {name: [] for name in TABLES})
    truth: dict[str, tuple] = field(default_factory=dict)
    lacking: set = field(default_factory=set)
    alive: set = field(default_factory=set)
    sequence: int = 0

    def __post_init__(self):
        chance = self.rng.uniform
        self.on = {name: chance() < (0.05 if name in {"replica", "bulk"} else 0.3) for name in MISLEADING}
        self.share = {name: chance(0.05, 0.5) * self.on[name] for name in MISLEADING}
        self.region = f"xx-{self.number}"
        self.items = int(self.rng.integers(1, 4))
        self.people = int(self.rng.integers(1, 4))
        self.span = float(chance(4, 90))
        self.begin = float(chance(0, 3600) if chance() < 0.5 else 3600 - self.span / 2)

    def happens(self, name):
        return bool(self.rng.uniform() < self.share[name])

    def place(self, region):
        return {
            "region": region,
            "table_name": f"T{self.number}",
            "table_arn": f"arn:aws:dynamodb:{region}:{ACCOUNT}:table/T{self.number}",
        }

    def put(self, table, at, **columns):
        time = START + timedelta(seconds=int(at // 1))
        hour = hour_of(time)
        when = {"event_time": time, "event_hour": hour, "event_date": hour.date()}
        self.rows[table].append(dict.fromkeys(TABLES[table].schema.names) | when | columns)

    def invent(self):
        """Everything, in the order in which it happened."""
        if self.on["bulk"]:
            load = {"event_name": "StartBulkPutItems", "table_names": [f"T{self.number}"], "principal_arn": PEOPLE[0]}
            self.event(f"load-{self.number}", self.begin - 30, **load)
        for at in np.sort(self.begin + self.rng.uniform(0, self.span, int(self.rng.integers(2, 25)))).tolist():
            item = int(self.rng.integers(self.items))
            if self.happens("expiry") and item in self.alive:
                self.change(at, item, "REMOVE", None, (None, None), by_ttl=True)
            elif self.happens("bulk"):
                self.change(at, item, *self.becomes(item, "Put", NAMES), (None, None))
            else:
                self.write(at, item)
        for hour in sorted({row["event_hour"] for row in self.rows["item_change"]} | self.lacking):
            known = self.rng.uniform() < 0.5
            if hour in self.lacking or known:
                stated = {"account_id": ACCOUNT, "operation": "*", "selection": "FULL", "statement": "complete"}
                if hour in self.lacking:
                    stated |= {"operation": "PutItem", "statement": "incomplete", "reasons": ["count_shortfall: 1"]}
                self.put("coverage", (hour - START).total_seconds(), **self.place(self.region) | stated)

    def write(self, at, item):
        """One request: the changes that it makes, and what the trail has of it."""
        who = PEOPLE[int(self.rng.integers(self.people))]
        operation = str(self.rng.choice(["Put", "Update", "Update", "Update", "Delete"]))
        asked = sorted(self.rng.choice(NAMES, int(self.rng.integers(1, 4)), replace=False).tolist())
        partiql = self.happens("partiql")
        if partiql and (operation == "Put") == (item in self.alive):
            return  # PartiQL's INSERT fails where there is an item, its UPDATE and DELETE where there is none.
        items = sorted({item, *self.rng.integers(0, self.items, 2).tolist()}) if self.happens("batch") else [item]
        event, done = f"e-{self.number}-{self.rng.integers(1 << 40)}", self.completed(at)
        missing, error = self.happens("missing"), self.error()
        for ordinal, each in enumerate(items):
            possible = not partiql or (operation == "Put") != (each in self.alive)
            if error != "ConditionalCheckFailedException" and possible and not self.happens("noop"):
                kind, names = self.becomes(each, operation, asked)
                if kind:
                    self.change(at, each, kind, names, (event, who))
            if not missing:
                told = [f"#{name}" for name in asked] if self.happens("unnamed") else asked
                self.item(event, done, each, operation, ordinal, names=told, partiql=partiql)
        if missing:
            self.lacking.add(hour_of(START + timedelta(seconds=int(done // 1))))
            return
        name = "ExecuteStatement" if partiql else f"{operation}Item"
        self.event(event, done, event_name=name, principal_arn=who, error_code=error)
        self.mislead(event, done, (name, operation, item), names=asked, partiql=partiql)

    def completed(self, at):
        if self.happens("skew"):
            return at + float(self.rng.uniform(-1, 1))
        if self.happens("slow"):
            return at + float(self.rng.uniform(SUREST_S[0] + 1, SUREST_S[1] - 1))
        return at + float(self.rng.lognormal(-4.6, 0.8))

    def error(self):
        if self.happens("failed"):
            return "ConditionalCheckFailedException"
        return "InternalServerError" if self.happens("unsure") else None

    def mislead(self, event, done, what, **asked):
        """What else the trail may hold beside a request: copies, forgeries, and requests that changed nothing."""
        name, operation, item = what
        original = self.rows["api_event"][-1]
        liar = PEOPLE[int(self.rng.integers(3))]
        if self.happens("shared"):
            original["shared_event_id"] = event
            copy = {"recipient_account_id": "210987654321"}
            self.event(event, done, event_name=name, error_code=original["error_code"], shared_event_id=event, **copy)
            self.item(event, done, item, operation, 0, **asked, **copy)
        if self.happens("forged"):
            self.item(f"forged-{event}", done, item, operation, 0, **asked)
            self.event(f"forged-{event}", done, event_name=name, principal_arn=liar, attestation="forged")
        if self.happens("retry") and not asked["partiql"]:
            later = done + float(self.rng.uniform(0, 2))
            self.item(f"again-{event}", later, item, operation, 0, **asked)
            self.event(f"again-{event}", later, event_name=name, principal_arn=original["principal_arn"])
        if self.happens("second"):
            other = done + float(self.rng.uniform(-1, 3))
            self.item(f"noop-{event}", other, item, operation, 0, **asked)
            self.event(f"noop-{event}", other, event_name=name, principal_arn=liar)

    def becomes(self, item, operation, asked):
        """Kind and changed attributes of what a write makes of an item; None: nothing."""
        was = item in self.alive
        if operation == "Delete":
            self.alive.discard(item)
            return ("REMOVE", None) if was else (None, None)
        self.alive.add(item)
        count = int(self.rng.integers(1, len(asked) + 1))
        return ("MODIFY", sorted(asked[:count])) if was else ("INSERT", None)

    def change(self, at, item, kind, names, made, *, by_ttl=False):
        self.sequence += 1
        image = f"image-{self.sequence}" if self.rng.uniform() < 0.5 else f"image-{item}"
        what = {
            "account_id": ACCOUNT,
            "item_key_token": f"t1:{item}",
            "key_attributes": ["id"],
            "change_type": kind,
            "changed_attributes": names,
            "new_image_token": None if kind == "REMOVE" else image,
            "view_type": "NEW_AND_OLD_IMAGES",
            "change_origin": "stream",
            "reconstructed": False,
            "sequence_number": str(self.sequence),
            "source_uri": "stream",
            "source_position": str(self.sequence),
        }
        name = f"c-{self.number}-{self.sequence}"
        self.truth[name] = made
        self.put("item_change", at, change_id=name, by_ttl=by_ttl, **self.place(self.region), **what)
        if self.happens("replica"):
            # Written elsewhere in truth: there is a request there, and what is here came over.
            far = self.place(f"{self.region}-far")
            self.put("item_change", at - 0.5, change_id=f"far-{name}", by_ttl=by_ttl, **far, **what)
            self.truth[name] = (None, None)
            if made[0]:
                origin, operation = f"far-{self.sequence}-{made[0]}", "Delete" if kind == "REMOVE" else "Put"
                self.truth[f"far-{name}"] = (origin, made[1])
                self.event(origin, at, event_name="PutItem", principal_arn=made[1], region=far["region"])
                self.item(origin, at, item, operation, self.sequence, **far)
            else:
                self.truth[f"far-{name}"] = (None, None)

    def event(self, event, at, **columns):
        values = {
            "event_id": event,
            "recipient_account_id": ACCOUNT,
            "region": self.region,
            "event_source": "dynamodb.amazonaws.com",
            "principal_type": "IAMUser",
            "access_key_id": "AKIAEXAMPLE",
            "attestation": "attested",
            "ocsf_class_uid": 6005,
            "source_uri": "log",
            "source_sha256": "00",
            "source_index": 0,
        } | columns
        self.put("api_event", at, **values)

    def item(self, event, at, item, operation, ordinal, *, names=None, partiql=False, **columns):
        hidden = partiql and operation == "Put"
        values = {
            "event_id": event,
            "recipient_account_id": ACCOUNT,
            "item_key_token": None if hidden else f"t1:{item}",
            "operation": operation,
            "ordinal": ordinal,
            "attribute_names": names,
            "source_uri": "log",
            "source_sha256": "00",
            "source_index": 0,
        }
        self.put("api_event_item", at, **self.place(self.region) | values | columns)


@pytest.fixture
def answers(warehouse):
    """The answers of many worlds at once, each with what really made the change."""

    def attribute(seed, count):
        worlds = [World(number, np.random.default_rng([seed, number])) for number in range(count)]
        truth = {}
        for world in worlds:
            world.invent()
            truth |= world.truth
        hours = set()
        for table in ("item_change", "api_event", "api_event_item", "coverage"):
            rows = [row for world in worlds for row in world.rows[table]]
            hours |= {row["event_hour"] for row in rows}
            data = pa.Table.from_pylist(rows, schema=TABLES[table].schema)
            warehouse.replace(table, data, hours={row["event_hour"] for row in rows})
        attribution.build(warehouse, hours)
        found = warehouse.dataset("attribution").to_table().to_pylist()
        return [(row, *truth[row["change_id"]]) for row in found]

    return attribute


@pytest.mark.parametrize("seed", range(3))
def test_nothing_certain_is_wrong_in_worlds_made_to_mislead(answers, seed):
    found = answers(seed, 300)
    sure = [(row, event) for row, event, _ in found if row["confidence"] == "certain"]
    who = [(row, by) for row, _, by in found if row["confidence"] == "identity_certain"]
    counts = Counter(row["confidence"] for row, *_ in found)
    assert min(counts[name] for name in ("certain", "identity_certain", "probable", "ambiguous", "none")) > 20, counts
    assert [(row["change_id"], row["event_id"], event) for row, event in sure if row["event_id"] != event] == []
    assert [(row["change_id"], row["principal_arn"], by) for row, by in who if row["principal_arn"] != by] == []
