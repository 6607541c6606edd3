import pytest

from dynatrail.sources.iam import authorization

AWS_POLICY = "arn:aws:iam::aws:policy/AmazonDynamoDBReadOnlyAccess"


def allowing(action, effect="Allow"):
    return {"Version": "2012-10-17", "Statement": [{"Effect": effect, "Action": action, "Resource": "*"}]}


def details(**lists):
    return {"UserDetailList": [], "GroupDetailList": [], "RoleDetailList": [], "Policies": []} | lists


def role(document=None, attached=()):
    return {
        "RoleName": "r",
        "Arn": "arn:aws:iam::123456789012:role/r",
        "RolePolicyList": [{"PolicyName": "p", "PolicyDocument": document}] if document else [],
        "AttachedManagedPolicies": [{"PolicyArn": arn} for arn in attached],
    }


def reaches(**lists):
    return [name for _, _, name in authorization.reaching_dynamodb(details(**lists))]


@pytest.mark.parametrize("action", ["*", "dynamodb:*", "dynamodb:GetItem", ["s3:*", "DynamoDB:Query"], "dynamo*:Get*"])
def test_action_that_reaches_dynamodb(action):
    assert reaches(RoleDetailList=[role(allowing(action))]) == ["r"]


@pytest.mark.parametrize("action", ["s3:*", "dynamodbx:GetItem", []])
def test_action_that_does_not(action):
    assert reaches(RoleDetailList=[role(allowing(action))]) == []


def test_denial_alone_reaches_nothing():
    assert reaches(RoleDetailList=[role(allowing("dynamodb:*", "Deny"))]) == []


def test_not_action_may_reach_everything():
    document = {"Statement": {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}}
    assert reaches(RoleDetailList=[role(document)]) == ["r"]


def test_attached_policy_counts_by_its_default_version():
    versions = [
        {"VersionId": "v1", "IsDefaultVersion": False, "Document": allowing("dynamodb:*")},
        {"VersionId": "v2", "IsDefaultVersion": True, "Document": allowing("s3:*")},
    ]
    policy = {"Arn": "arn:aws:iam::123456789012:policy/p", "PolicyVersionList": versions}
    assert reaches(RoleDetailList=[role(attached=[policy["Arn"]])], Policies=[policy]) == []


def test_policy_whose_document_is_unknown_may_reach_it():
    assert reaches(RoleDetailList=[role(attached=[AWS_POLICY])]) == ["r"]


def test_user_reaches_what_their_group_does():
    user = {"UserName": "u", "Arn": "arn:aws:iam::123456789012:user/u", "GroupList": ["g"]}
    policies = [{"PolicyName": "p", "PolicyDocument": allowing("dynamodb:Scan")}]
    group = {"GroupName": "g", "Arn": "arn:aws:iam::123456789012:group/g", "GroupPolicyList": policies}
    assert reaches(UserDetailList=[user], GroupDetailList=[group]) == ["u"]


def test_one_document_for_each_identity_and_policy_of_all_pages(stubbed):
    asker, stub = stubbed
    iam = stub("iam")
    arns = [f"arn:aws:iam::123456789012:role/role-{number}" for number in range(2)]
    for number, arn in enumerate(arns):
        page = {"RoleDetailList": [{"RoleName": f"role-{number}", "Arn": arn, "RoleLastUsed": {"Region": "us-east-1"}}]}
        more = {"IsTruncated": True, "Marker": "next"} if number == 0 else {"IsTruncated": False}
        iam.add_response("get_account_authorization_details", page | more)
    capture, _ = authorization.look(asker)
    assert [piece.resource_arn for piece in capture.pieces] == arns
    assert "RoleLastUsed" not in capture.pieces[0].document


def test_policy_of_aws_that_nobody_uses_is_left_out(stubbed):
    asker, stub = stubbed
    unused = {"PolicyName": "p", "Arn": AWS_POLICY, "AttachmentCount": 0}
    used = {"PolicyName": "q", "Arn": f"{AWS_POLICY}2", "AttachmentCount": 1}
    stub("iam").add_response("get_account_authorization_details", {"Policies": [unused, used]})
    capture, _ = authorization.look(asker)
    assert [piece.resource_name for piece in capture.pieces] == ["q"]
