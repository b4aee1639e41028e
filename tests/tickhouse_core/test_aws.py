from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, NoRegionError, ReadTimeoutError

from tickhouse_core.aws import aws_errors, s3_client, sqs_client
from tickhouse_core.errors import (
    AccessRefused,
    LakeRefused,
    LakeUnavailable,
    NotProvisioned,
    ObjectChanged,
    ObjectMissing,
    TickhouseError,
    UsageError,
)


def client_error(code: str, status: int | None = None) -> ClientError:
    answer: Any = {"Error": {"Code": code, "Message": "said so"}}
    return ClientError(answer | ({"ResponseMetadata": {"HTTPStatusCode": status}} if status else {}), "GetObject")


@pytest.mark.parametrize(
    ("foreign", "ours"),
    [
        (client_error("NoSuchKey"), ObjectMissing),
        (client_error("NoSuchBucket"), NotProvisioned),
        (client_error("404"), ObjectMissing),
        (client_error("AWS.SimpleQueueService.NonExistentQueue"), NotProvisioned),
        (client_error("QueueDoesNotExist"), NotProvisioned),
        (client_error("PreconditionFailed", 412), LakeRefused),
        (client_error("412", 412), LakeRefused),
        (client_error("ConditionalRequestConflict", 409), LakeRefused),
        (client_error("InvalidAccessKeyId"), AccessRefused),
        (client_error("SignatureDoesNotMatch"), AccessRefused),
        (client_error("AccessDenied", 403), AccessRefused),
        (client_error("ExpiredToken", 400), AccessRefused),
        (client_error("SomethingNew", 403), AccessRefused),
        (client_error("InvalidBucketName", 400), UsageError),
        (client_error("KeyTooLongError", 400), LakeRefused),
        (client_error("PermanentRedirect", 301), LakeRefused),
        (client_error("SomethingNew", 409), LakeRefused),
        (client_error("RequestTimeout", 400), LakeUnavailable),
        (client_error("ThrottlingException", 400), LakeUnavailable),
        (client_error("OverLimit", 403), LakeUnavailable),
        (client_error("SomethingNew", 429), LakeUnavailable),
        (client_error("SomethingNew", 500), LakeUnavailable),
        (client_error("503", 503), LakeUnavailable),
        (NoCredentialsError(), UsageError),
        (NoRegionError(), UsageError),
        (client_error("InternalError"), LakeUnavailable),
        (client_error("SlowDown"), LakeUnavailable),
        (client_error("ServiceUnavailable"), LakeUnavailable),
        (EndpointConnectionError(endpoint_url="http://x"), LakeUnavailable),
        (ReadTimeoutError(endpoint_url="http://x"), LakeUnavailable),
    ],
    ids=lambda value: str(value)[:60],
)
def test_an_error_of_the_library_is_named_in_our_words(foreign: Exception, ours: type[TickhouseError]) -> None:
    with pytest.raises(ours, match=r"^s3://b/k: ") as caught, aws_errors("s3://b/k"):
        raise foreign
    assert type(caught.value) is ours
    assert caught.value.__cause__ is foreign


@pytest.mark.parametrize("code", ["PreconditionFailed", "ConditionalRequestConflict", "412"])
def test_only_to_a_condition_a_412_says_that_somebody_else_wrote(code: str) -> None:
    with pytest.raises(ObjectChanged), aws_errors("s3://b/k", conditional=True):
        raise client_error(code, 412)


def test_an_error_that_is_not_the_librarys_travels_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError), aws_errors("s3://b/k"):
        raise ZeroDivisionError


def test_a_dead_endpoint_is_given_up_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    for config in (s3_client().meta.config, sqs_client().meta.config):
        known: Any = config  # boto3-stubs do not list what a Config takes
        assert (known.connect_timeout, known.read_timeout, known.retries["total_max_attempts"]) == (5, 30, 5)


def test_without_a_region_it_says_which_variables_to_set(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", f"{tmp_path}/none")
    with pytest.raises(UsageError, match=r"^SQS: .*AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_DEFAULT_REGION"):
        sqs_client()


def test_a_client_follows_the_environment_of_its_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    for account in ("first", "second"):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", account)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        monkeypatch.setenv("AWS_DEFAULT_REGION", f"{account}-region")
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{account}:1")
        signed = s3_client().generate_presigned_url("list_buckets"), sqs_client().generate_presigned_url("list_queues")
        for url in signed:
            assert url.startswith(f"http://{account}:1/")
            assert f"X-Amz-Credential={account}%2F" in url
            assert f"%2F{account}-region%2F" in url


def test_the_description_of_a_service_is_read_once_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    for create in (s3_client, sqs_client):
        assert create().meta.service_model.metadata is create().meta.service_model.metadata


def test_threads_may_ask_for_clients_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda number: s3_client() if number % 2 else sqs_client(), range(32)))
    assert len(set(map(id, made))) == 32
