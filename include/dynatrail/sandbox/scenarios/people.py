"""What the practice's people do: short routines of a few calls, each as one click or command would make them."""

from dynatrail.clock import iso
from dynatrail.sandbox.scenarios.house import ABROAD, ROLES, SSO_ROLES
from dynatrail.sandbox.scenarios.practice import Practice, diary_day, invoice_item, patient_item
from dynatrail.sandbox.scenarios.stage import Actor
from dynatrail.sandbox.scenarios.truth import Item


def sign_in(practice: Practice, name: str) -> Actor:
    """A nurse's or doctor's morning: Identity Center, then the role of their permission set."""
    role = SSO_ROLES["Doctor" if name.startswith("dr.") else "Nurse"]
    user_id = f"a4b8c4d8-0001-70e1-0000-{sum(name.encode()):012d}"
    return practice.stage.sign_in(practice.actors[name], role, f"{name}@example.com", user_id)


def check_in(practice: Practice, nurse: Actor) -> None:
    """Look up today's diary, open a patient's file, mark them as arrived."""
    clinic, starts, patient = practice.appointment()
    stage = practice.stage
    stage.call(
        nurse,
        "Query",
        TableName="Appointments",
        KeyConditionExpression="clinic_id = :c AND begins_with(starts_at, :d)",
        ExpressionAttributeValues={":c": {"S": clinic}, ":d": {"S": diary_day(stage.now)}},
    )
    stage.call(nurse, "GetItem", TableName="Patients", Key={"patient_id": {"S": patient}}, ConsistentRead=True)
    stage.call(
        nurse,
        "UpdateItem",
        TableName="Appointments",
        Key={"clinic_id": {"S": clinic}, "starts_at": {"S": starts}},
        UpdateExpression="SET #s = :s, arrived_at = :t",
        ConditionExpression="attribute_exists(clinic_id)",
        ExpressionAttributeNames={"#s": "status"},
        ExpressionAttributeValues={":s": {"S": "arrived"}, ":t": {"S": iso(stage.now.replace(microsecond=0))}},
    )


def register_patient(practice: Practice, nurse: Actor) -> None:
    """Look for an e-mail address, then make a file; sometimes the patient is there already and the condition fails."""
    stage, known = practice.stage, practice.happens(0.25)
    patient = practice.patient() if known else practice.new_patient()
    item = patient_item(patient)
    stage.call(
        nurse,
        "Query",
        TableName="Patients",
        IndexName="EmailIndex",
        KeyConditionExpression="#e = :e",
        ExpressionAttributeNames={"#e": "email"},
        ExpressionAttributeValues={":e": item["email"]},
    )
    stage.call(
        nurse,
        "PutItem",
        TableName="Patients",
        Item=item,
        ConditionExpression="attribute_not_exists(patient_id)",
        ReturnConsumedCapacity="TOTAL",
    )


def look_up(practice: Practice, nurse: Actor) -> None:
    """Open one or two files and their appointments."""
    for _ in range(practice.random.randint(1, 2)):
        patient = practice.patient()
        practice.stage.call(nurse, "GetItem", TableName="Patients", Key={"patient_id": {"S": patient}})
        practice.stage.call(
            nurse,
            "Query",
            TableName="Appointments",
            IndexName="PatientIndex",
            KeyConditionExpression="patient_id = :p",
            ExpressionAttributeValues={":p": {"S": patient}},
            Limit=10,
            ScanIndexForward=False,
        )


def overreach(practice: Practice, nurse: Actor) -> None:
    """An honest mistake: deleting a file, or looking at invoices, which nurses may not."""
    patient = practice.patient()
    if practice.happens(0.5):
        practice.stage.call(nurse, "DeleteItem", TableName="Patients", Key={"patient_id": {"S": patient}})
    else:
        practice.stage.call(nurse, "Scan", TableName="Invoices", Limit=10)


def visit(practice: Practice, doctor: Actor) -> None:
    """Read the file, prescribe (in the other region), close the appointment and bill it in one transaction."""
    clinic, starts, patient = practice.appointment()
    stage, number = practice.stage, practice.new_invoice()
    stage.call(doctor, "GetItem", TableName="Patients", Key={"patient_id": {"S": patient}})
    stage.call(
        doctor,
        "Query",
        ABROAD,
        TableName="Prescriptions",
        KeyConditionExpression="patient_id = :p",
        ExpressionAttributeValues={":p": {"S": patient}},
    )
    issued = iso(stage.now)
    stage.call(
        doctor,
        "PutItem",
        ABROAD,
        TableName="Prescriptions",
        Item={
            "patient_id": {"S": patient},
            "issued_at": {"S": issued},
            "drug": {"S": "ibuprofen"},
            "mg": {"N": "400"},
        },
    )
    if number % 4 == 1:  # corrected at once: the replica may never see the first dose
        stage.call(
            doctor,
            "UpdateItem",
            ABROAD,
            TableName="Prescriptions",
            Key={"patient_id": {"S": patient}, "issued_at": {"S": issued}},
            UpdateExpression="SET mg = :m",
            ExpressionAttributeValues={":m": {"N": "600"}},
        )
    stage.call(
        doctor,
        "TransactWriteItems",
        TransactItems=[
            {
                "Update": {
                    "TableName": "Appointments",
                    "Key": {"clinic_id": {"S": clinic}, "starts_at": {"S": starts}},
                    "UpdateExpression": "SET #s = :s",
                    "ConditionExpression": "attribute_exists(clinic_id)",
                    "ExpressionAttributeNames": {"#s": "status"},
                    "ExpressionAttributeValues": {":s": {"S": "done"}},
                }
            },
            {
                "Put": {
                    "TableName": "Invoices",
                    "Item": invoice_item(number, patient, practice.random.randint(3_000, 30_000)),
                    "ConditionExpression": "attribute_not_exists(invoice_number)",
                }
            },
            {
                "ConditionCheck": {
                    "TableName": "Patients",
                    "Key": {"patient_id": {"S": patient}},
                    "ConditionExpression": "attribute_exists(patient_id)",
                }
            },
        ],
        ReturnConsumedCapacity="TOTAL",
    )


def file_document(practice: Practice, doctor: Actor) -> None:
    """Store a scan under the digest of its bytes, then read a few back."""
    stage = practice.stage
    digests = [stage.random.randbytes(12) for _ in range(2)]
    for digest in digests:
        stage.call(
            doctor, "PutItem", ABROAD, TableName="Documents", Item={"digest": {"B": digest}, "pages": {"N": "3"}}
        )
    keys = [{"digest": {"B": digest}} for digest in digests]
    stage.call(
        doctor, "BatchGetItem", ABROAD, RequestItems={"Documents": {"Keys": keys, "ProjectionExpression": "pages"}}
    )


def cancel(practice: Practice, doctor: Actor) -> None:
    """Look with PartiQL, then delete an appointment; its key is quoted as a literal, so the trail shows it."""
    clinic, starts, patient = practice.appointments.pop(practice.random.randrange(len(practice.appointments)))
    quoted = patient.replace("'", "''")
    practice.stage.call(
        doctor,
        "ExecuteStatement",
        Statement=f"SELECT * FROM \"Patients\" WHERE patient_id = '{quoted}' AND born = '1971-01-01'",  # noqa: S608  PartiQL with literals is the point
        items=[Item("Patients", {"patient_id": {"S": patient}}, "Get")],
    )
    practice.stage.call(
        doctor,
        "DeleteItem",
        TableName="Appointments",
        Key={"clinic_id": {"S": clinic}, "starts_at": {"S": starts}},
        ReturnValues="ALL_OLD",
    )


def administer(practice: Practice) -> None:
    """The database administrator's console: look around, tag, check the backups."""
    stage = practice.stage
    marta = stage.sign_in_to_console(practice.actors["marta.dba"])
    stage.call(marta, "ListTables")
    for table in practice.random.sample(("Patients", "Appointments", "Invoices", "Sessions"), 3):
        stage.call(marta, "DescribeTable", TableName=table)
        stage.call(marta, "Scan", TableName=table, Limit=5, ReturnConsumedCapacity="TOTAL")
    arn = f"arn:aws:dynamodb:us-east-1:{marta.account_id}:table/Sessions"
    stage.call(marta, "TagResource", ResourceArn=arn, Tags=[{"Key": "reviewed", "Value": f"{stage.now:%Y-%m-%d}"}])
    stage.call(marta, "ListBackups", TableName="Invoices")
    stage.call(marta, "DescribeContinuousBackups", TableName="Invoices")
    stage.call(marta, "DescribeTable", TableName="Ledger")


def debug(practice: Practice) -> None:
    """The developer's way to production: user, developer role, support role, with a source identity that survives.

    At its end an item is corrected: a write whose record names the support role alone.
    """
    stage = practice.stage
    developer = stage.assume(
        practice.actors["tomas.developer"], ROLES["DeveloperRole"], "tomas", SourceIdentity="tomas.developer"
    )
    if developer is None:
        return
    stage.call(developer, "DescribeTable", TableName="Appointments")
    stage.call(developer, "GetItem", TableName="Patients", Key={"patient_id": {"S": practice.patient()}})
    support = stage.assume(developer, ROLES["SupportRole"], "ticket-4711")
    if support is None:
        return
    clinic, starts, _ = practice.appointment()
    stage.call(
        support, "GetItem", TableName="Appointments", Key={"clinic_id": {"S": clinic}, "starts_at": {"S": starts}}
    )
    stage.call(
        support,
        "Query",
        TableName="Appointments",
        KeyConditions={"clinic_id": {"AttributeValueList": [{"S": clinic}], "ComparisonOperator": "EQ"}},
        Limit=5,
    )
    stage.call(
        support,
        "UpdateItem",
        TableName="Appointments",
        Key={"clinic_id": {"S": clinic}, "starts_at": {"S": starts}},
        UpdateExpression="SET #s = :s, corrected_at = :t",
        ConditionExpression="attribute_exists(clinic_id)",
        ExpressionAttributeNames={"#s": "status"},
        ExpressionAttributeValues={":s": {"S": "corrected"}, ":t": {"S": iso(stage.now.replace(microsecond=0))}},
    )


def analyse(practice: Practice) -> None:
    """The analyst of the other account: through a role of this one, reading only."""
    stage = practice.stage
    analyst = stage.assume(practice.actors["ines.analyst"], ROLES["AnalyticsReadRole"], "ines.analyst")
    if analyst is None:
        return
    for _ in range(3):
        stage.call(analyst, "Scan", TableName="Appointments", Limit=25, ProjectionExpression="clinic_id, starts_at")
    stage.call(
        analyst,
        "Query",
        TableName="Appointments",
        KeyConditionExpression="clinic_id = :c",
        ExpressionAttributeValues={":c": {"S": "north"}},
        Select="COUNT",
    )
    if practice.happens(0.3):
        stage.call(analyst, "PutItem", TableName="Invoices", Item={"invoice_number": {"N": "1"}})
