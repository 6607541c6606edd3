"""Everything that is asked about tables and trails, as tables: to ask one thing more, add an entry.

An `Aspect` asks about one resource that is known already; a `Listing` finds resources, each member of the list being
one. Names of aspects are names of APIs.
"""

from dynatrail.sources.snapshots.asking import Api
from dynatrail.sources.snapshots.questions import Aspect, Listing

TABLE = "AWS::DynamoDB::Table"
STREAM = "AWS::DynamoDB::Stream"
TRAIL = "AWS::CloudTrail::Trail"
BUCKET = "AWS::S3::Bucket"
KEY = "AWS::KMS::Key"

_NO_TABLE = frozenset({"ResourceNotFoundException", "TableNotFoundException"})
_NO_TRAIL = frozenset({"TrailNotFoundException"})
_NO_BUCKET = frozenset({"NoSuchBucket"})
_NO_KEY = frozenset({"NotFoundException"})


def _dynamodb(operation: str, result: str = "", *, absent: frozenset[str] = frozenset()) -> Api:
    return Api("dynamodb", operation, f"dynamodb:{operation}", result, absent=absent, gone=_NO_TABLE - absent)


LIST_TABLES = Api(
    "dynamodb", "ListTables", "dynamodb:ListTables", "TableNames", ("ExclusiveStartTableName", "LastEvaluatedTableName")
)
DESCRIBE_TABLE = _dynamodb("DescribeTable", "Table")
LIST_TAGS = Api(
    "dynamodb", "ListTagsOfResource", "dynamodb:ListTagsOfResource", "Tags", ("NextToken", "NextToken"), gone=_NO_TABLE
)
GET_RESOURCE_POLICY = Api(
    "dynamodb",
    "GetResourcePolicy",
    "dynamodb:GetResourcePolicy",
    absent=frozenset({"PolicyNotFoundException"}),
    gone=_NO_TABLE,
)
_BY_NAME = {"TableName": "name"}

TABLE_ASPECTS = (
    Aspect(_dynamodb("DescribeContinuousBackups", "ContinuousBackupsDescription"), TABLE, _BY_NAME),
    Aspect(_dynamodb("DescribeTimeToLive", "TimeToLiveDescription"), TABLE, _BY_NAME),
    Aspect(GET_RESOURCE_POLICY, TABLE, {"ResourceArn": "arn"}),
    Aspect(GET_RESOURCE_POLICY, STREAM, {"ResourceArn": "arn"}),
    Aspect(_dynamodb("DescribeKinesisStreamingDestination", "KinesisDataStreamDestinations"), TABLE, _BY_NAME),
    Aspect(_dynamodb("DescribeContributorInsights"), TABLE, _BY_NAME),
    Aspect(
        _dynamodb("DescribeTableReplicaAutoScaling", "TableAutoScalingDescription"),
        TABLE,
        {"TableName": "name"},
        only_with="replicas",
    ),
)

TABLE_LISTINGS = (
    Listing(
        Api(
            "dynamodb",
            "ListBackups",
            "dynamodb:ListBackups",
            "BackupSummaries",
            ("ExclusiveStartBackupArn", "LastEvaluatedBackupArn"),
        ),
        "AWS::DynamoDB::Backup",
        arn="BackupArn",
        label="TableName",
        constant={"BackupType": "ALL"},
    ),
    Listing(
        Api("dynamodb", "ListExports", "dynamodb:ListExports", "ExportSummaries", ("NextToken", "NextToken")),
        "AWS::DynamoDB::Export",
        arn="ExportArn",
        detail=(
            Api(
                "dynamodb",
                "DescribeExport",
                "dynamodb:DescribeExport",
                "ExportDescription",
                gone=frozenset({"ExportNotFoundException"}),
            ),
            {"ExportArn": "ExportArn"},
        ),
    ),
    Listing(
        Api("dynamodb", "ListImports", "dynamodb:ListImports", "ImportSummaryList", ("NextToken", "NextToken")),
        "AWS::DynamoDB::Import",
        arn="ImportArn",
        label="TableArn",
        detail=(
            Api(
                "dynamodb",
                "DescribeImport",
                "dynamodb:DescribeImport",
                "ImportTableDescription",
                gone=frozenset({"ImportNotFoundException"}),
            ),
            {"ImportArn": "ImportArn"},
        ),
    ),
    Listing(
        Api(
            "dynamodb",
            "ListBulkOperations",
            "dynamodb:ListBulkOperations",
            "BulkOperationsSummaryList",
            ("NextToken", "NextToken"),
        ),
        "AWS::DynamoDB::BulkOperation",
        arn="BulkOperationArn",
        detail=(
            Api("dynamodb", "DescribeBulkOperation", "dynamodb:DescribeBulkOperation", "BulkOperationDescription"),
            {"BulkOperationArn": "BulkOperationArn"},
        ),
    ),
    Listing(
        Api(
            "application-autoscaling",
            "DescribeScalableTargets",
            "application-autoscaling:DescribeScalableTargets",
            "ScalableTargets",
            ("NextToken", "NextToken"),
        ),
        "AWS::ApplicationAutoScaling::ScalableTarget",
        arn="ScalableTargetARN",
        label="ResourceId",
        constant={"ServiceNamespace": "dynamodb"},
    ),
    Listing(
        Api(
            "application-autoscaling",
            "DescribeScalingPolicies",
            "application-autoscaling:DescribeScalingPolicies",
            "ScalingPolicies",
            ("NextToken", "NextToken"),
        ),
        "AWS::ApplicationAutoScaling::ScalingPolicy",
        arn="PolicyARN",
        label="ResourceId",
        constant={"ServiceNamespace": "dynamodb"},
    ),
    Listing(
        Api(
            "backup",
            "ListProtectedResources",
            "backup:ListProtectedResources",
            "Results",
            ("NextToken", "NextToken"),
        ),
        "AWS::Backup::ProtectedResource",
        arn="ResourceArn",
        label="ResourceName",
        only=("ResourceType", "DynamoDB"),
    ),
    Listing(
        Api("backup", "ListBackupPlans", "backup:ListBackupPlans", "BackupPlansList", ("NextToken", "NextToken")),
        "AWS::Backup::BackupPlan",
        arn="BackupPlanArn",
        label="BackupPlanName",
        detail=(
            Api(
                "backup",
                "GetBackupPlan",
                "backup:GetBackupPlan",
                gone=frozenset({"ResourceNotFoundException"}),
            ),
            {"BackupPlanId": "BackupPlanId"},
        ),
    ),
)

ALARMS = Listing(
    Api("cloudwatch", "DescribeAlarms", "cloudwatch:DescribeAlarms", "MetricAlarms", ("NextToken", "NextToken")),
    "AWS::CloudWatch::Alarm",
    arn="AlarmArn",
    label="AlarmName",
    constant={"AlarmTypes": ["MetricAlarm"]},
)
COMPOSITE_ALARMS = Listing(
    Api("cloudwatch", "DescribeAlarms", "cloudwatch:DescribeAlarms", "CompositeAlarms", ("NextToken", "NextToken")),
    "AWS::CloudWatch::CompositeAlarm",
    arn="AlarmArn",
    label="AlarmName",
    constant={"AlarmTypes": ["CompositeAlarm"]},
)
TRAIL_LISTINGS = (ALARMS, COMPOSITE_ALARMS)

BACKUP_SELECTIONS = Api(
    "backup",
    "ListBackupSelections",
    "backup:ListBackupSelections",
    "BackupSelectionsList",
    ("NextToken", "NextToken"),
)
BACKUP_SELECTION = Api(
    "backup",
    "GetBackupSelection",
    "backup:GetBackupSelection",
    "BackupSelection",
    gone=frozenset({"ResourceNotFoundException"}),
)

DESCRIBE_TRAILS = Api("cloudtrail", "DescribeTrails", "cloudtrail:DescribeTrails", "trailList")


def _cloudtrail(operation: str, result: str = "", absent: frozenset[str] = frozenset()) -> Api:
    return Api("cloudtrail", operation, f"cloudtrail:{operation}", result, absent=absent, gone=_NO_TRAIL)


def _s3(operation: str, action: str, result: str = "", absent: str = "") -> Api:
    codes = frozenset({absent} if absent else ())
    return Api("s3", operation, f"s3:{action}", result, absent=codes, gone=_NO_BUCKET)


def _kms(operation: str, result: str = "") -> Api:
    return Api("kms", operation, f"kms:{operation}", result, gone=_NO_KEY)


_BUCKET = {"Bucket": "name"}
TRAIL_ASPECTS = (
    Aspect(_cloudtrail("GetTrailStatus"), TRAIL, {"Name": "arn"}),
    Aspect(_cloudtrail("GetEventSelectors"), TRAIL, {"TrailName": "arn"}),
    Aspect(_cloudtrail("GetEventConfiguration"), TRAIL, {"TrailName": "arn"}),
    Aspect(
        _cloudtrail("GetInsightSelectors", absent=frozenset({"InsightNotEnabledException"})),
        TRAIL,
        {"TrailName": "arn"},
    ),
    Aspect(_s3("GetBucketPolicy", "GetBucketPolicy", absent="NoSuchBucketPolicy"), BUCKET, _BUCKET),
    Aspect(
        _s3(
            "GetPublicAccessBlock",
            "GetBucketPublicAccessBlock",
            "PublicAccessBlockConfiguration",
            "NoSuchPublicAccessBlockConfiguration",
        ),
        BUCKET,
        _BUCKET,
    ),
    Aspect(_s3("GetBucketVersioning", "GetBucketVersioning"), BUCKET, _BUCKET),
    Aspect(
        _s3(
            "GetObjectLockConfiguration",
            "GetBucketObjectLockConfiguration",
            "ObjectLockConfiguration",
            "ObjectLockConfigurationNotFoundError",
        ),
        BUCKET,
        _BUCKET,
    ),
    Aspect(
        _s3(
            "GetBucketEncryption",
            "GetEncryptionConfiguration",
            "ServerSideEncryptionConfiguration",
            "ServerSideEncryptionConfigurationNotFoundError",
        ),
        BUCKET,
        _BUCKET,
    ),
    Aspect(_s3("GetBucketLogging", "GetBucketLogging"), BUCKET, _BUCKET),
    Aspect(
        _s3(
            "GetBucketLifecycleConfiguration",
            "GetLifecycleConfiguration",
            absent="NoSuchLifecycleConfiguration",
        ),
        BUCKET,
        _BUCKET,
    ),
    Aspect(
        _s3(
            "GetBucketOwnershipControls",
            "GetBucketOwnershipControls",
            "OwnershipControls",
            "OwnershipControlsNotFoundError",
        ),
        BUCKET,
        _BUCKET,
    ),
    Aspect(_kms("DescribeKey", "KeyMetadata"), KEY, {"KeyId": "arn"}),
    Aspect(_kms("GetKeyRotationStatus"), KEY, {"KeyId": "arn"}),
    Aspect(_kms("GetKeyPolicy"), KEY, {"KeyId": "arn"}),
    Aspect(
        Api("kms", "ListGrants", "kms:ListGrants", "Grants", ("Marker", "NextMarker"), gone=_NO_KEY),
        KEY,
        {"KeyId": "arn"},
    ),
)
LIST_TRAIL_TAGS = Api(
    "cloudtrail", "ListTags", "cloudtrail:ListTags", "ResourceTagList", ("NextToken", "NextToken"), gone=_NO_TRAIL
)
