"""Creates what the pipeline needs wherever the environment points; every step is safe to repeat."""

import json
import logging
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tickhouse_core.aws import aws_errors, s3_client, sqs_client
from tickhouse_core.cells import ALONE, Cell
from tickhouse_core.datasets import DATASETS, QUEUES
from tickhouse_core.errors import UsageError
from tickhouse_core.message_queue import MAX_RECEIVE_COUNT
from tickhouse_core.settings import RetentionSettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

log = logging.getLogger(__name__)

VISIBILITY_SECONDS = "30"
RETENTION_SECONDS = "1209600"  # 14 days, the most SQS keeps: a loader that was away for a week lost nothing

QUARANTINE_RULE = "tickhouse-quarantine"
_NO_LIFECYCLE = {"NoSuchLifecycleConfiguration", "NotImplemented", "MethodNotAllowed"}


def provision_aws(bucket: str, retention: RetentionSettings | None = None, cell: Cell = ALONE) -> None:
    """Bucket, queues with their dead-letter queues, and S3 -> SQS notifications (contract sections 3 and 4).

    The queues come first: what is put into a bucket before it has its notifications is found by the next sweep only.
    `bucket` is that of the cell, and so are the queues.
    With `retention` the bucket's rule on quarantine/ is set or taken away; without, it stays as it is.
    """
    s3, sqs = s3_client(), sqs_client()
    with aws_errors("queues"):
        arns = {name: _create_queue(sqs, name, cell.suffix, bucket) for name in QUEUES}
    with aws_errors(f"bucket {bucket}"):
        _create_bucket(s3, bucket)
    with aws_errors(f"notifications of bucket {bucket}"):
        _configure_notifications(s3, bucket, arns)
    if retention is not None:
        with aws_errors(f"lifecycle rules of bucket {bucket}"):
            _configure_quarantine(s3, bucket, retention.quarantine_days)
    log.info("lake provisioned", extra={"bucket": bucket, "queues": len(arns)})


def _create_bucket(s3: "S3Client", bucket: str) -> None:
    region = s3.meta.region_name
    where: Any = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    try:
        s3.create_bucket(Bucket=bucket, **where)
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code")
        if code == "BucketAlreadyExists":
            raise UsageError(f"S3_BUCKET: {bucket} belongs to another AWS account: choose another name") from error
        if code != "BucketAlreadyOwnedByYou":
            raise


def _create_queue(sqs: "SQSClient", name: str, suffix: str, bucket: str) -> str:
    """The queue's ARN. Attributes are set even where the queue exists, so that a change of ours arrives."""
    dlq_url = sqs.create_queue(QueueName=f"{name}-dlq{suffix}")["QueueUrl"]
    sqs.set_queue_attributes(QueueUrl=dlq_url, Attributes={"MessageRetentionPeriod": RETENTION_SECONDS})
    dead_letters = _arn(sqs, dlq_url)
    url = sqs.create_queue(QueueName=f"{name}{suffix}")["QueueUrl"]
    arn = _arn(sqs, url)
    redrive = {"deadLetterTargetArn": dead_letters, "maxReceiveCount": MAX_RECEIVE_COUNT}
    sqs.set_queue_attributes(
        QueueUrl=url,
        Attributes={
            "VisibilityTimeout": VISIBILITY_SECONDS,
            "MessageRetentionPeriod": RETENTION_SECONDS,
            "ReceiveMessageWaitTimeSeconds": "20",
            "RedrivePolicy": json.dumps(redrive),
            "Policy": json.dumps(_allow_bucket(arn, bucket)),
        },
    )
    return arn


def _arn(sqs: "SQSClient", url: str) -> str:
    return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def _allow_bucket(queue_arn: str, bucket: str) -> dict[str, Any]:
    """S3 may send to the queue, for this bucket only (AWS: "Granting permissions to publish event notifications")."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "s3.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": queue_arn,
                "Condition": {"ArnLike": {"aws:SourceArn": f"arn:aws:s3:::{bucket}"}},
            }
        ],
    }


def _configure_notifications(s3: "S3Client", bucket: str, arns: dict[str, str]) -> None:
    """Ours by id, or by doing the same (CloudFormation chooses ids itself, and S3 refuses two that overlap); others stay."""
    current: Any = s3.get_bucket_notification_configuration(Bucket=bucket)
    current.pop("ResponseMetadata", None)
    ours = [
        {
            "Id": dataset.notification_id,
            "QueueArn": arns[dataset.queue],
            "Events": ["s3:ObjectCreated:*"],
            "Filter": {"Key": {"FilterRules": [_rule("prefix", dataset.prefix), _rule("suffix", ".parquet")]}},
        }
        for dataset in DATASETS
    ]
    ids = {entry["Id"] for entry in ours}
    same = [_what_it_does(entry) for entry in ours]
    found = current.get("QueueConfigurations", ())
    theirs = [entry for entry in found if entry.get("Id") not in ids and _what_it_does(entry) not in same]
    current["QueueConfigurations"] = theirs + ours
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=current)


def _what_it_does(entry: Any) -> object:
    rules = entry.get("Filter", {}).get("Key", {}).get("FilterRules", ())
    return entry["QueueArn"], sorted(entry["Events"]), sorted((rule["Name"].lower(), rule["Value"]) for rule in rules)


def _rule(name: str, value: str) -> dict[str, str]:
    return {"Name": name, "Value": value}


def _configure_quarantine(s3: "S3Client", bucket: str, days: int | None) -> None:
    """Ours by id; rules of others stay. Nothing is written where nothing changes."""
    current = _lifecycle_rules(s3, bucket)
    theirs = [rule for rule in current if rule.get("ID") != QUARANTINE_RULE]
    before = [(rule.get("Status"), rule.get("Filter"), rule.get("Expiration")) for rule in current if rule not in theirs]
    wanted: list[Any] = []
    if days is not None:
        wanted = [{"ID": QUARANTINE_RULE, "Status": "Enabled", "Filter": {"Prefix": "quarantine/"}, "Expiration": {"Days": days}}]
    if before == [(rule["Status"], rule["Filter"], rule["Expiration"]) for rule in wanted]:
        return
    if theirs or wanted:
        s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [*theirs, *wanted]})
    else:
        s3.delete_bucket_lifecycle(Bucket=bucket)


def _lifecycle_rules(s3: "S3Client", bucket: str) -> list[Any]:
    """None where there are none yet, or where the store knows no such thing."""
    try:
        return list(s3.get_bucket_lifecycle_configuration(Bucket=bucket).get("Rules", []))
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in _NO_LIFECYCLE:
            return []
        raise
