from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tickhouse.provision import provision_aws
from tickhouse_core.aws import s3_client, sqs_client
from tickhouse_core.datasets import DATASETS
from tickhouse_core.errors import TickhouseError, UsageError

if TYPE_CHECKING:
    from conftest import Lake

NAMES = ["depth-notifications", "klines-notifications", "ops-notifications", "tickers-notifications", "trades-notifications"]
QUEUES = [queue for name in NAMES for queue in (name, f"{name}-dlq")]
FOLDERS = {dataset.notification_id: (dataset.queue, dataset.folder) for dataset in DATASETS}


def attributes(queue: str) -> dict[Any, str]:
    client = sqs_client()
    url = client.get_queue_url(QueueName=queue)["QueueUrl"]
    return dict(client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"])


def notifications(lake: Lake) -> dict[str, Any]:
    configured: Any = s3_client().get_bucket_notification_configuration(Bucket=lake.store.bucket)
    return {entry["Id"]: entry for entry in configured.get("QueueConfigurations", [])}


def state(lake: Lake) -> object:
    changing = {"LastModifiedTimestamp", "ApproximateNumberOfMessages"}
    queues = {name: {key: value for key, value in attributes(name).items() if key not in changing} for name in QUEUES}
    return queues, notifications(lake)


def test_queues_are_named_as_in_the_contract(moto_lake: Lake) -> None:
    assert moto_lake.environment
    urls = sqs_client().list_queues()["QueueUrls"]
    assert sorted(url.rsplit("/", 1)[1] for url in urls) == QUEUES


@pytest.mark.parametrize("queue", NAMES)
def test_a_message_that_fails_five_times_goes_to_the_dead_letter_queue(queue: str, moto_lake: Lake) -> None:
    assert moto_lake.environment
    policy = json.loads(attributes(queue)["RedrivePolicy"])
    assert policy == {"deadLetterTargetArn": attributes(f"{queue}-dlq")["QueueArn"], "maxReceiveCount": 5}


def test_dead_letters_are_kept_as_long_as_sqs_keeps_anything(moto_lake: Lake) -> None:
    assert moto_lake.environment
    assert [attributes(name)["MessageRetentionPeriod"] for name in QUEUES] == ["1209600"] * len(QUEUES)


def test_created_parquet_objects_of_each_dataset_are_notified_to_its_queue(moto_lake: Lake) -> None:
    found = {
        name: (
            entry["QueueArn"].rsplit(":", 1)[1],
            entry["Events"],
            {rule["Name"].lower(): rule["Value"] for rule in entry["Filter"]["Key"]["FilterRules"]},
        )
        for name, entry in notifications(moto_lake).items()
    }
    assert found == {
        name: (queue, ["s3:ObjectCreated:*"], {"prefix": f"data_sources/{folder}/", "suffix": ".parquet"})
        for name, (queue, folder) in FOLDERS.items()
    }


def test_a_write_arrives_in_the_queue_of_its_dataset_only(moto_lake: Lake) -> None:
    client = sqs_client()
    for name in ("klines-notifications", "ops-notifications"):
        client.purge_queue(QueueUrl=client.get_queue_url(QueueName=name)["QueueUrl"])
    for key in ("data_sources/klines_pricing/a.parquet", "data_sources/klines_pricing/a.json", "quarantine/a.parquet"):
        moto_lake.store.write(key, b"x")
    waiting = {name: attributes(name)["ApproximateNumberOfMessages"] for name in ("klines-notifications", "ops-notifications")}
    assert waiting == {"klines-notifications": "1", "ops-notifications": "0"}


def test_only_this_bucket_may_send(moto_lake: Lake) -> None:
    for name in ("klines-notifications", "ops-notifications"):
        (statement,) = json.loads(attributes(name)["Policy"])["Statement"]
        assert statement == {
            "Effect": "Allow",
            "Principal": {"Service": "s3.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": attributes(name)["QueueArn"],
            "Condition": {"ArnLike": {"aws:SourceArn": f"arn:aws:s3:::{moto_lake.store.bucket}"}},
        }


def test_a_second_run_changes_nothing(moto_lake: Lake) -> None:
    moto_lake.store.write("data_sources/klines_pricing/a.parquet", b"x")
    before = state(moto_lake)
    provision_aws(moto_lake.store.bucket)
    assert state(moto_lake) == before
    assert moto_lake.store.read("data_sources/klines_pricing/a.parquet").body == b"x"


def test_what_others_configured_stays_and_what_was_changed_of_ours_is_restored(moto_lake: Lake) -> None:
    client = sqs_client()
    theirs = client.create_queue(QueueName="somebody-elses")["QueueUrl"]
    arn = client.get_queue_attributes(QueueUrl=theirs, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    entries: Any = [
        {"Id": "somebody-elses", "QueueArn": arn, "Events": ["s3:ObjectRemoved:*"]},
        {"Id": "klines-parquet-notification", "QueueArn": arn, "Events": ["s3:ObjectRemoved:*"]},
    ]
    s3_client().put_bucket_notification_configuration(
        Bucket=moto_lake.store.bucket, NotificationConfiguration={"QueueConfigurations": entries}
    )
    provision_aws(moto_lake.store.bucket)
    found = {name: (entry["QueueArn"].rsplit(":", 1)[1], entry["Events"]) for name, entry in notifications(moto_lake).items()}
    assert found == {
        "somebody-elses": ("somebody-elses", ["s3:ObjectRemoved:*"]),
        **{name: (queue, ["s3:ObjectCreated:*"]) for name, (queue, _) in FOLDERS.items()},
    }


def test_attributes_that_somebody_changed_are_restored(moto_lake: Lake) -> None:
    client = sqs_client()
    url = client.get_queue_url(QueueName="klines-notifications")["QueueUrl"]
    client.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "1", "MessageRetentionPeriod": "60"})
    provision_aws(moto_lake.store.bucket)
    known = attributes("klines-notifications")
    assert (known["VisibilityTimeout"], known["MessageRetentionPeriod"]) == ("30", "1209600")


def test_a_bucket_name_that_s3_refuses_is_an_error_of_ours(moto_lake: Lake) -> None:
    assert moto_lake.environment
    with pytest.raises(TickhouseError, match=r"^bucket Not_A_Bucket!: "):
        provision_aws("Not_A_Bucket!")


def test_a_bucket_name_that_another_account_has_is_a_setting_to_change(moto_lake: Lake) -> None:
    def by_another_account(request: Any, **_: object) -> None:
        request.headers["x-moto-account-id"] = "222222222222"

    other = s3_client()
    other.meta.events.register("before-sign.s3", by_another_account)
    other.create_bucket(Bucket="taken")
    assert moto_lake.environment
    with pytest.raises(UsageError, match=r"^S3_BUCKET: taken belongs to another AWS account: choose another name$"):
        provision_aws("taken")
