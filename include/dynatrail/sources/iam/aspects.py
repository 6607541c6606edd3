"""Everything that is asked about identities, as tables: to ask one thing more, add an entry."""

from dynatrail.sources.snapshots.asking import Api
from dynatrail.sources.snapshots.questions import Aspect, Listing

ACCOUNT = "AWS::IAM::Account"
USER = "AWS::IAM::User"
ROLE = "AWS::IAM::Role"
GROUP = "AWS::IAM::Group"
POLICY = "AWS::IAM::ManagedPolicy"
INSTANCE = "AWS::SSO::Instance"
PERMISSION_SET = "AWS::SSO::PermissionSet"
ASSIGNMENT = "AWS::SSO::Assignment"
PERSON = "AWS::IdentityStore::User"
PEOPLE = "AWS::IdentityStore::Group"
MEMBERSHIP = "AWS::IdentityStore::GroupMembership"
ANALYZER = "AWS::AccessAnalyzer::Analyzer"
FINDING = "AWS::AccessAnalyzer::Finding"

_NO_ENTITY = frozenset({"NoSuchEntity", "NoSuchEntityException"})
_NO_RESOURCE = frozenset({"ResourceNotFoundException"})
_TOKEN = ("NextToken", "NextToken")


def _iam(operation: str, result: str = "", *, absent: bool = False, marker: bool = False) -> Api:
    return Api(
        "iam",
        operation,
        f"iam:{operation}",
        result,
        ("Marker", "Marker") if marker else None,
        absent=_NO_ENTITY if absent else frozenset(),
        gone=frozenset() if absent else _NO_ENTITY,
    )


def _sso(operation: str, result: str = "", *, paged: bool = False, absent: bool = False) -> Api:
    return Api(
        "sso-admin",
        operation,
        f"sso:{operation}",
        result,
        _TOKEN if paged else None,
        absent=_NO_RESOURCE if absent else frozenset(),
        gone=frozenset() if absent else _NO_RESOURCE,
    )


AUTHORIZATION_DETAILS = _iam("GetAccountAuthorizationDetails", marker=True)
AUTHORIZATION_LISTS = {
    "UserDetailList": (USER, "UserName"),
    "GroupDetailList": (GROUP, "GroupName"),
    "RoleDetailList": (ROLE, "RoleName"),
    "Policies": (POLICY, "PolicyName"),
}
"""List of the answer -> resource type and name's member."""

ACCOUNT_ASPECTS = (
    Aspect(_iam("GetAccountPasswordPolicy", "PasswordPolicy", absent=True), ACCOUNT, {}),
    Aspect(_iam("GetAccountSummary", "SummaryMap"), ACCOUNT, {}),
)
IAM_LISTINGS = (
    Listing(
        _iam("ListSAMLProviders", "SAMLProviderList"),
        "AWS::IAM::SAMLProvider",
        arn="Arn",
        detail=(_iam("GetSAMLProvider"), {"SAMLProviderArn": "Arn"}),
        tells=False,
    ),
    Listing(
        _iam("ListOpenIDConnectProviders", "OpenIDConnectProviderList"),
        "AWS::IAM::OIDCProvider",
        arn="Arn",
        detail=(_iam("GetOpenIDConnectProvider"), {"OpenIDConnectProviderArn": "Arn"}),
        tells=False,
    ),
)

GENERATE_REPORT = _iam("GenerateCredentialReport")
GET_REPORT = Api(
    "iam",
    "GetCredentialReport",
    "iam:GetCredentialReport",
    gone=frozenset({"ReportNotPresent", "ReportExpired", "ReportInProgress"}),
)
GENERATE_LAST_ACCESSED = _iam("GenerateServiceLastAccessedDetails")
GET_LAST_ACCESSED = _iam("GetServiceLastAccessedDetails", marker=True)

LIST_INSTANCES = _sso("ListInstances", "Instances", paged=True)
LIST_PERMISSION_SETS = _sso("ListPermissionSets", "PermissionSets", paged=True)
PROVISIONED_ACCOUNTS = _sso("ListAccountsForProvisionedPermissionSet", "AccountIds", paged=True)
ACCOUNT_ASSIGNMENTS = _sso("ListAccountAssignments", "AccountAssignments", paged=True)
_BOTH = {"InstanceArn": "instance_arn", "PermissionSetArn": "arn"}
PERMISSION_SET_ASPECTS = (
    Aspect(_sso("DescribePermissionSet", "PermissionSet"), PERMISSION_SET, _BOTH),
    Aspect(_sso("GetInlinePolicyForPermissionSet", "InlinePolicy"), PERMISSION_SET, _BOTH),
    Aspect(_sso("ListManagedPoliciesInPermissionSet", "AttachedManagedPolicies", paged=True), PERMISSION_SET, _BOTH),
    Aspect(
        _sso("ListCustomerManagedPolicyReferencesInPermissionSet", "CustomerManagedPolicyReferences", paged=True),
        PERMISSION_SET,
        _BOTH,
    ),
    Aspect(_sso("GetPermissionsBoundaryForPermissionSet", "PermissionsBoundary", absent=True), PERMISSION_SET, _BOTH),
)


def _store(operation: str, result: str) -> Api:
    return Api("identitystore", operation, f"identitystore:{operation}", result, _TOKEN, gone=_NO_RESOURCE)


LIST_PEOPLE = _store("ListUsers", "Users")
LIST_GROUPS = _store("ListGroups", "Groups")
LIST_MEMBERSHIPS = _store("ListGroupMemberships", "GroupMemberships")

LIST_ANALYZERS = Api(
    "accessanalyzer", "ListAnalyzers", "access-analyzer:ListAnalyzers", "analyzers", ("nextToken", "nextToken")
)
LIST_FINDINGS = Api(
    "accessanalyzer",
    "ListFindingsV2",
    "access-analyzer:ListFindings",
    "findings",
    ("nextToken", "nextToken"),
    gone=_NO_RESOURCE,
)
GET_FINDING = Api(
    "accessanalyzer", "GetFindingV2", "access-analyzer:GetFinding", "", ("nextToken", "nextToken"), gone=_NO_RESOURCE
)
DYNAMODB_RESOURCES = ["AWS::DynamoDB::Table", "AWS::DynamoDB::Stream"]
