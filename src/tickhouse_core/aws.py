"""The border to botocore: clients with bounded waits, and botocore's errors in our words.

botocore is imported with the first client: who works on a data folder does without half a second of the processor.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, cast

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
from tickhouse_core.settings import AwsSettings, read

if TYPE_CHECKING:
    from botocore.client import BaseClient
    from botocore.config import Config
    from botocore.exceptions import ClientError
    from botocore.loaders import Loader
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

_creating = threading.Lock()
"""botocore lets threads share a client, not its making: the loader's cache has no lock of its own."""

_MISSING = {"NoSuchKey", "404"}
_NOT_PROVISIONED = {"NoSuchBucket", "AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"}
_CHANGED = {"PreconditionFailed", "ConditionalRequestConflict", "412"}
_ACCESS = {
    *("AccessDenied", "AllAccessDisabled", "InvalidAccessKeyId", "SignatureDoesNotMatch", "RequestTimeTooSkewed"),
    *("InvalidClientTokenId", "UnrecognizedClientException", "InvalidToken", "ExpiredToken", "ExpiredTokenException"),
    *("TokenRefreshRequired", "InvalidSecurity", "AccountProblem", "NotSignedUp", "OptInRequired"),
    *("AccessDeniedException", "NotAuthorized", "IncompleteSignature", "MissingAuthenticationToken", "RequestExpired"),
    *("KmsAccessDenied", "KmsDisabled", "KmsInvalidState", "KmsNotFound", "KmsOptInRequired"),
}
"""Some come as 400. AWS: "S3 error responses", "SQS common errors", "SQS ReceiveMessage"."""

_TRANSIENT = {
    *("RequestTimeout", "RequestTimeoutException", "PriorRequestNotComplete", "OperationAborted", "InternalError"),
    *("IncompleteBody", "BadDigest", "XAmzContentSHA256Mismatch"),
    *("Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "RequestThrottledException"),
    *("TooManyRequestsException", "RequestLimitExceeded", "BandwidthLimitExceeded", "LimitExceededException"),
    *("KMS.ThrottlingException", "KmsThrottled", "OverLimit", "SlowDown"),
}
"""4xx by their number, of the moment by their meaning: too much at once, or damaged on the way."""

_TRANSIENT_STATUS = {408, 425, 429}


def s3_client(*, brief: bool = False) -> "S3Client":
    """botocore's S3 client for this process's environment; thread-safe. `brief`: one try of five seconds, for a look."""
    with aws_errors("S3"):
        return cast("S3Client", _client("s3", brief=brief))


def sqs_client(*, brief: bool = False) -> "SQSClient":
    """botocore's SQS client for this process's environment; thread-safe. `brief` as for S3."""
    with aws_errors("SQS"):
        return cast("SQSClient", _client("sqs", brief=brief))


def _client(service: str, *, brief: bool) -> "BaseClient":
    """Credentials, region and endpoint of the environment as it is now: only the descriptions of services are shared."""
    import botocore.session

    read(AwsSettings)  # botocore's own refusal of a malformed one would repeat it
    session = botocore.session.get_session()
    with _creating:
        session.register_component("data_loader", _loader(session.get_config_variable("data_path")))
        return session.create_client(service, config=_config(brief=brief))


def _config(*, brief: bool) -> "Config":
    from botocore.config import Config

    return Config(
        retries={"mode": "standard", "total_max_attempts": 1 if brief else 5},
        connect_timeout=5,
        read_timeout=5 if brief else 30,  # longer than SQS's longest poll of 20 s
        max_pool_connections=32,
        s3={"addressing_style": "path"},  # LocalStack and moto answer on one host name
    )


@cache
def _loader(data_path: str | None) -> "Loader":
    """Reads and parses a service's description once a process: it is most of the time that a client takes to make."""
    from botocore.loaders import create_loader

    return create_loader(data_path)


@contextmanager
def aws_errors(what: str, *, conditional: bool = False) -> Iterator[None]:
    """Maps botocore's errors; `what` names the thing that was touched, for the message.

    ObjectChanged only from a `conditional` request: to another one a 412 is a refusal like any other.
    """
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        HTTPClientError,
        NoCredentialsError,
        NoRegionError,
        ParamValidationError,
        PartialCredentialsError,
        ProfileNotFound,
    )

    try:
        yield
    except (NoCredentialsError, NoRegionError, PartialCredentialsError) as error:
        raise UsageError(
            f"{what}: {str(error).rstrip('.')}. Set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_DEFAULT_REGION "
            "(and AWS_ENDPOINT_URL for LocalStack), or use a folder on this machine with --data DIR"
        ) from error
    except ParamValidationError as error:
        raise UsageError(f"{what}: {_one_line(error)}; check S3_BUCKET") from error
    except (ProfileNotFound, ValueError) as error:  # ValueError: an endpoint that is no URL. Both may repeat a secret
        said = f"the configuration cannot be used ({type(error).__name__})"
        raise UsageError(f"{what}: {said}; check AWS_ENDPOINT_URL, AWS_PROFILE, AWS_DEFAULT_REGION and ~/.aws") from None
    except ClientError as error:
        raise _client_error(what, error, conditional) from error
    except (HTTPClientError, BotoCoreError) as error:
        raise LakeUnavailable(f"{what}: {_one_line(error)}") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _client_error(what: str, error: "ClientError", conditional: bool) -> TickhouseError:
    code = error.response.get("Error", {}).get("Code", "")
    message = f"{what}: {error}"
    if code in _MISSING:
        return ObjectMissing(message)
    if code in _NOT_PROVISIONED:
        return NotProvisioned(f"{message} (`tickhouse provision` creates bucket and queues)")
    if code in _CHANGED and conditional:
        return ObjectChanged(message)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _TRANSIENT or status in _TRANSIENT_STATUS or status >= 500:
        return LakeUnavailable(message)
    if code in _ACCESS or status in (401, 403):
        return AccessRefused(f"{message}; check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the rights of their owner")
    if code == "InvalidBucketName":
        return UsageError(f"{message}; check S3_BUCKET")
    if 300 <= status < 500 or code in _CHANGED:
        return LakeRefused(f"{message}; check S3_BUCKET, AWS_DEFAULT_REGION and AWS_ENDPOINT_URL")
    return LakeUnavailable(message)
