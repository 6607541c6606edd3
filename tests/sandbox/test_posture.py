"""What the account tells of identities and settings, asked as the auditor."""

import csv
import io
from typing import TYPE_CHECKING, Any

import pytest

from dynatrail.sandbox.identity_center import PEOPLE, STORE, user_id
from dynatrail.sandbox.sandbox import PRODUCTION

if TYPE_CHECKING:
    from tests.sandbox.conftest import Tiny

pytestmark = pytest.mark.slow


def auditor(tiny: "Tiny", service: str, region: str = "us-east-1") -> Any:
    return tiny.sandbox.client(service, tiny.sandbox.auditor, region=region)


def marta(tiny: "Tiny", service: str) -> Any:
    """Somebody whose policy allows DynamoDB and a little of CloudTrail, nothing else."""
    key = tiny.sandbox.client("iam", tiny.sandbox.root(PRODUCTION)).create_access_key(UserName="marta.dba")["AccessKey"]
    return tiny.sandbox.client(
        service, type(tiny.sandbox.auditor)(key["AccessKeyId"], key["SecretAccessKey"], "us-east-1")
    )


class TestIdentityCenter:
    def test_directory_holds_everybody_in_whose_name_sessions_are_recorded(self, tiny: "Tiny"):
        users = auditor(tiny, "identitystore").list_users(IdentityStoreId=STORE)["Users"]
        recorded = {
            record["userIdentity"]["onBehalfOf"]["userId"]
            for record in tiny.records()
            if "onBehalfOf" in record["userIdentity"]
        }
        assert recorded
        assert recorded <= {user["UserId"] for user in users}

    def test_nurses_are_assigned_the_permission_set_of_their_role(self, tiny: "Tiny"):
        sso = auditor(tiny, "sso-admin")
        (instance,) = sso.list_instances()["Instances"]
        arns = sso.list_permission_sets(InstanceArn=instance["InstanceArn"])["PermissionSets"]
        both = {"InstanceArn": instance["InstanceArn"], "PermissionSetArn": arns[0]}
        assert sso.describe_permission_set(**both)["PermissionSet"]["Name"] == "Nurse"
        (assigned,) = sso.list_account_assignments(**both, AccountId=PRODUCTION)["AccountAssignments"]
        members = auditor(tiny, "identitystore").list_group_memberships(
            IdentityStoreId=STORE, GroupId=assigned["PrincipalId"]
        )["GroupMemberships"]
        assert {one["MemberId"]["UserId"] for one in members} == {user_id(name) for name in PEOPLE["Nurse"]}

    @pytest.mark.parametrize(
        ("service", "operation", "sent"),
        [
            ("sso-admin", "list_instances", {}),
            ("identitystore", "list_users", {"IdentityStoreId": STORE}),
            ("accessanalyzer", "list_analyzers", {}),
            ("application-autoscaling", "describe_scalable_targets", {"ServiceNamespace": "dynamodb"}),
        ],
    )
    def test_who_has_no_permission_is_denied(self, tiny: "Tiny", service: str, operation: str, sent: Any):
        client = marta(tiny, service)
        with pytest.raises(client.exceptions.ClientError) as raised:
            getattr(client, operation)(**sent)
        assert "AccessDenied" in raised.value.response["Error"]["Code"]


class TestAccessAnalyzer:
    def test_shared_table_is_found_with_whom_it_lets_in(self, tiny: "Tiny"):
        client = auditor(tiny, "accessanalyzer")
        (analyzer,) = client.list_analyzers()["analyzers"]
        (finding,) = client.list_findings_v2(analyzerArn=analyzer["arn"])["findings"]
        assert finding["resource"].endswith(":table/Patients")
        told = client.get_finding_v2(analyzerArn=analyzer["arn"], id=finding["id"])
        (details,) = told["findingDetails"]
        assert details["externalAccessDetails"]["action"] == ["dynamodb:GetItem", "dynamodb:Scan"]
        assert finding["createdAt"] < tiny.played.window[1]


class TestUses:
    def test_access_advisor_knows_a_role_s_last_attempt_in_sandbox_time(self, tiny: "Tiny"):
        iam = auditor(tiny, "iam")
        arn = f"arn:aws:iam::{PRODUCTION}:role/BookingApiRole"
        job = iam.generate_service_last_accessed_details(Arn=arn)["JobId"]
        (service,) = iam.get_service_last_accessed_details(JobId=job)["ServicesLastAccessed"]
        assert service["ServiceNamespace"] == "dynamodb"
        assert tiny.played.window[0] < service["LastAuthenticated"] < tiny.played.window[1]

    def test_report_tells_which_key_was_used_when_in_sandbox_time(self, tiny: "Tiny"):
        iam = auditor(tiny, "iam")
        iam.generate_credential_report()
        report = iam.get_credential_report()["Content"].decode()
        rows = {row["user"]: row for row in csv.DictReader(io.StringIO(report))}
        start = tiny.played.window[0].date().isoformat()
        assert rows["robert.former"]["access_key_1_last_used_date"].startswith(start)
        assert rows["robert.former"]["user_creation_time"].startswith(start)

    def test_report_is_made_anew_every_four_hours_only(self, tiny: "Tiny"):
        iam = auditor(tiny, "iam")
        made = set()
        for _ in range(2):
            iam.generate_credential_report()
            made.add(iam.get_credential_report()["GeneratedTime"])
        assert len(made) == 1


class TestSettings:
    def test_trail_has_no_insights_and_no_aggregations(self, tiny: "Tiny"):
        client = auditor(tiny, "cloudtrail")
        assert client.get_event_configuration(TrailName=tiny.played.trail_arn)["AggregationConfigurations"] == []
        with pytest.raises(client.exceptions.InsightNotEnabledException):
            client.get_insight_selectors(TrailName=tiny.played.trail_arn)

    def test_table_was_created_in_sandbox_time(self, tiny: "Tiny"):
        table = auditor(tiny, "dynamodb").describe_table(TableName="Patients")["Table"]
        assert table["CreationDateTime"] == tiny.played.window[0]

    def test_policies_and_tags_of_tables_may_be_read(self, tiny: "Tiny"):
        client, arn = auditor(tiny, "dynamodb"), f"arn:aws:dynamodb:us-east-1:{PRODUCTION}:table/Patients"
        assert "999999999999" in client.get_resource_policy(ResourceArn=arn)["Policy"]
        assert client.list_tags_of_resource(ResourceArn=arn)["Tags"]

    def test_auto_scaling_is_what_was_registered(self, tiny: "Tiny"):
        one = {"ServiceNamespace": "dynamodb", "ResourceId": "table/Invoices"}
        one["ScalableDimension"] = "dynamodb:table:ReadCapacityUnits"
        root = tiny.sandbox.client("application-autoscaling", tiny.sandbox.root(PRODUCTION))
        root.register_scalable_target(**one, MinCapacity=1, MaxCapacity=9)
        found = auditor(tiny, "application-autoscaling").describe_scalable_targets(ServiceNamespace="dynamodb")
        assert [(target["ResourceId"], target["MaxCapacity"]) for target in found["ScalableTargets"]] == [
            ("table/Invoices", 9)
        ]
        root.deregister_scalable_target(**one)
