"""What the practice's programs do: the booking API, the billing job, the nightly export, deployments, auto scaling."""

from datetime import timedelta

from dynatrail.clock import iso
from dynatrail.sandbox.scenarios.house import ABROAD, OIDC_HOST, ROLES
from dynatrail.sandbox.scenarios.practice import Practice, invoice_item
from dynatrail.sandbox.scenarios.stage import HOME, PRODUCTION, Actor
from dynatrail.sandbox.scenarios.truth import Item

_FUNCTIONS = f"arn:aws:lambda:{HOME}:{PRODUCTION}:function"


def start_booking_api(practice: Practice) -> Actor:
    """A fresh container of the booking function takes its role."""
    return practice.stage.start_workload(
        practice.actors["booking-api"],
        ROLES["BookingApiRole"],
        "booking-api",
        "lambda.amazonaws.com",
        f"{_FUNCTIONS}:booking-api",
    )


def book(practice: Practice, api: Actor) -> None:
    """Someone books on the web: a session, free slots, a patient's file, the appointment."""
    stage, chance, began = practice.stage, practice.random, practice.stage.now
    session, patient = f"s-{chance.getrandbits(64):016x}", practice.patient()
    expires = int((stage.now + timedelta(hours=12)).timestamp())
    stage.call(
        api, "PutItem", TableName="Sessions", Item={"session_id": {"S": session}, "expires_at": {"N": str(expires)}}
    )
    stage.call(
        api,
        "Query",
        TableName="Appointments",
        KeyConditionExpression="#c = :c AND starts_at BETWEEN :a AND :b",
        FilterExpression="attribute_not_exists(cancelled)",
        ExpressionAttributeNames={"#c": "clinic_id"},
        ExpressionAttributeValues={":c": {"S": "north"}, ":a": {"S": "2020"}, ":b": {"S": "2099"}},
    )
    others = [{"patient_id": {"S": other}} for other in dict.fromkeys([patient, practice.patient()])]
    stage.call(api, "BatchGetItem", RequestItems={"Patients": {"Keys": others}})
    clinic, starts, _ = practice.new_appointment(patient)
    booked = stage.call(
        api,
        "PutItem",
        TableName="Appointments",
        Item={"clinic_id": {"S": clinic}, "starts_at": {"S": starts}, "patient_id": {"S": patient}},
        ConditionExpression="attribute_not_exists(starts_at)",
    )
    if practice.happens(0.2):  # an old client of the mobile app still sends the legacy parameters
        stage.call(
            api,
            "UpdateItem",
            TableName="Sessions",
            Key={"session_id": {"S": session}},
            AttributeUpdates={"last_page": {"Action": "PUT", "Value": {"S": "done"}}},
            Expected={"last_page": {"Exists": False}},
        )
    practice.program_log.booking(began, stage.now, patient, booked.error)


def tidy_sessions(practice: Practice, api: Actor) -> None:
    """Write and remove sessions in one batch."""
    names = [f"s-{practice.random.getrandbits(64):016x}" for _ in range(4)]
    puts = [
        {"PutRequest": {"Item": {"session_id": {"S": name}, "expires_at": {"N": "4102444800"}}}} for name in names[:2]
    ]
    deletes = [{"DeleteRequest": {"Key": {"session_id": {"S": name}}}} for name in names[2:]]
    practice.stage.call(api, "BatchWriteItem", RequestItems={"Sessions": [*puts, *deletes]})


def bill(practice: Practice, rounds: int) -> None:
    """The billing job: find open invoices, mark some as paid, archive, in classic calls and PartiQL."""
    stage, chance = practice.stage, practice.random
    job = stage.start_workload(
        practice.actors["billing-job"],
        ROLES["BillingJobRole"],
        "billing-task",
        "ecs-tasks.amazonaws.com",
        f"arn:aws:ecs:{HOME}:{PRODUCTION}:task/clinic/0a1b2c3d4e5f60718293a4b5c6d7e8f9",
    )
    began = stage.now
    unpaid = stage.call(
        job,
        "Scan",
        TableName="Invoices",
        FilterExpression="paid = :no",
        ExpressionAttributeValues={":no": {"BOOL": False}},
    ).answer.get("Items", [])
    for _ in range(rounds):
        number = chance.choice(practice.invoices)
        stage.call(
            job,
            "UpdateItem",
            TableName="Invoices",
            Key={"invoice_number": {"N": str(number)}},
            UpdateExpression="SET paid = :yes REMOVE reminder",
            ExpressionAttributeValues={":yes": {"BOOL": True}},
            ReturnValues="UPDATED_NEW",
        )
        _bill_with_partiql(practice, job, chance.choice(practice.invoices))
    number = practice.new_invoice()
    stage.call(
        job,
        "TransactWriteItems",
        TransactItems=[
            {"Put": {"TableName": "Invoices", "Item": invoice_item(number, "corporate", 120_000)}},
            {
                "Delete": {
                    "TableName": "Invoices",
                    "Key": {"invoice_number": {"N": str(number - 1)}},
                    "ConditionExpression": "paid = :yes",
                    "ExpressionAttributeValues": {":yes": {"BOOL": True}},
                    "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                }
            },
        ],
    )
    named = [(int(item["invoice_number"]["N"]), item.get("patient", {}).get("S", "")) for item in unpaid[:3]]
    practice.program_log.billing(began, stage.now, named)


def _bill_with_partiql(practice: Practice, job: Actor, number: int) -> None:
    stage, new = practice.stage, practice.new_invoice()
    key, new_key = {"invoice_number": {"N": str(number)}}, {"invoice_number": {"N": str(new)}}
    match practice.random.randrange(5):
        case 0:
            stage.call(
                job,
                "ExecuteStatement",
                Statement=f'SELECT amount FROM "Invoices" WHERE invoice_number = {number}',  # noqa: S608  PartiQL with literals is the point
                items=[Item("Invoices", key, "Get")],
            )
        case 1:
            stage.call(
                job,
                "ExecuteStatement",
                Statement="UPDATE Invoices SET reminder = ? WHERE invoice_number = ?",
                Parameters=[{"S": "sent"}, key["invoice_number"]],
                items=[Item("Invoices", key, "Update", in_record=False)],
            )
        case 2:
            stage.call(
                job,
                "ExecuteStatement",
                Statement=f"INSERT INTO Invoices VALUE {{'invoice_number': {new}, 'patient': 'o''b', 'amount': 12.5}}",
                items=[Item("Invoices", new_key, "Put", in_record=False)],
            )
        case 3:
            stage.call(
                job,
                "BatchExecuteStatement",
                Statements=[
                    {"Statement": f"UPDATE Invoices SET paid = true WHERE invoice_number = {number}"},  # noqa: S608  PartiQL with literals is the point
                    {"Statement": f"INSERT INTO Invoices VALUE {{'invoice_number': {new}, 'patient': 'new'}}"},
                ],
                items=[Item("Invoices", key, "Update"), Item("Invoices", new_key, "Put", in_record=False)],
            )
        case _:
            other = {"invoice_number": {"N": str(number + 1)}}
            stage.call(
                job,
                "ExecuteTransaction",
                TransactStatements=[
                    {"Statement": f"UPDATE Invoices SET paid = true WHERE invoice_number = {number}"},  # noqa: S608  PartiQL with literals is the point
                    {"Statement": f"DELETE FROM Invoices WHERE invoice_number = {number + 1}"},  # noqa: S608  PartiQL with literals is the point
                ],
                items=[Item("Invoices", key, "Update"), Item("Invoices", other, "Delete")],
            )


def export(practice: Practice, segments: int) -> None:
    """The nightly export: configuration, a parallel scan, a consistent sample, and the stream's newest records."""
    stage = practice.stage
    job = stage.start_workload(
        practice.actors["nightly-export"],
        ROLES["NightlyExportRole"],
        "nightly-export",
        "lambda.amazonaws.com",
        f"{_FUNCTIONS}:nightly-export",
    )
    stage.call(job, "DescribeContinuousBackups", TableName="Patients")
    stage.call(job, "ListExports", TableArn=f"arn:aws:dynamodb:{HOME}:{PRODUCTION}:table/Patients")
    for segment in range(segments):
        stage.call(
            job,
            "Scan",
            TableName="Appointments",
            Segment=segment,
            TotalSegments=segments,
            ReturnConsumedCapacity="TOTAL",
        )
    stage.call(job, "Scan", ABROAD, TableName="Prescriptions", Limit=100)
    keys = [
        {"clinic_id": {"S": clinic}, "starts_at": {"S": starts}} for clinic, starts, _ in practice.appointments[-3:]
    ]
    stage.call(
        job, "TransactGetItems", TransactItems=[{"Get": {"TableName": "Appointments", "Key": key}} for key in keys]
    )
    _read_stream(practice, job)


def _read_stream(practice: Practice, job: Actor) -> None:
    stage = practice.stage
    streams = stage.call(job, "ListStreams", service="dynamodbstreams", TableName="Appointments").answer.get("Streams")
    if not streams:
        return
    arn = streams[0]["StreamArn"]
    described = stage.call(job, "DescribeStream", service="dynamodbstreams", StreamArn=arn)
    shard = described.answer["StreamDescription"]["Shards"][0]["ShardId"]
    iterator = stage.call(
        job, "GetShardIterator", service="dynamodbstreams", StreamArn=arn, ShardId=shard, ShardIteratorType="LATEST"
    ).answer["ShardIterator"]
    stage.call(job, "GetRecords", service="dynamodbstreams", ShardIterator=iterator, Limit=10)


def deploy(practice: Practice) -> None:
    """The build service deploys: a web identity, a look at the tables, a tag; a table is made for a day and dropped."""
    stage, build = practice.stage, start_build(practice)
    name = f"Canary-{stage.now:%Y%m%d%H}"
    stage.call(
        build,
        "CreateTable",
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        SSESpecification={"Enabled": True},
    )
    stage.call(build, "PutItem", TableName=name, Item={"id": {"S": "probe"}})
    stage.call(build, "DeleteTable", TableName=name)
    arn = f"arn:aws:dynamodb:{HOME}:{PRODUCTION}:table/Appointments"
    stage.call(
        build, "TagResource", ResourceArn=arn, Tags=[{"Key": "release", "Value": iso(stage.now.replace(microsecond=0))}]
    )


def start_build(practice: Practice) -> Actor:
    """The build service takes the role for deployments with a web identity."""
    stage = practice.stage
    claims = {
        "iss": f"https://{OIDC_HOST}",
        "aud": "sts.amazonaws.com",
        "sub": "repo:example/clinic:ref:refs/heads/main",
        "exp": int((stage.now + timedelta(minutes=10)).timestamp()),
    }
    return stage.with_web_identity(practice.actors["deploy"], ROLES["DeployRole"], "clinic-main", claims)


def scale(practice: Practice) -> None:
    """Application Auto Scaling looks at a table, as its service-linked role does; no signature of ours is behind it."""
    actor = practice.actors["autoscaling"]
    role = "AWSServiceRoleForApplicationAutoScaling_DynamoDBTable"
    session = "AutoScaling-UpdateTable"
    service = actor.caller.invoked_by
    issuer_arn = f"arn:aws:iam::{PRODUCTION}:role/aws-service-role/{service}/{role}"
    identity = {
        "type": "AssumedRole",
        "principalId": f"AROAEXAMPLEAUTOSCALIN:{session}",
        "arn": f"arn:aws:sts::{PRODUCTION}:assumed-role/{role}/{session}",
        "accountId": PRODUCTION,
        "sessionContext": {
            "sessionIssuer": {
                "type": "Role",
                "principalId": "AROAEXAMPLEAUTOSCALIN",
                "arn": issuer_arn,
                "accountId": PRODUCTION,
                "userName": role,
            },
            "attributes": {"creationDate": iso(practice.stage.now.replace(microsecond=0)), "mfaAuthenticated": "false"},
        },
        "invokedBy": service,
    }
    table = "Patients"
    practice.stage.inject(
        actor,
        "dynamodb.amazonaws.com",
        "DescribeTable",
        identity=identity,
        tables=(table,),
        request_parameters={"tableName": table},
        fields={
            "readOnly": True,
            "apiVersion": "2012-08-10",
            "resources": [
                {
                    "accountId": PRODUCTION,
                    "type": "AWS::DynamoDB::Table",
                    "ARN": f"arn:aws:dynamodb:{HOME}:{PRODUCTION}:table/{table}",
                }
            ],
        },
    )
    practice.stage.wait()
