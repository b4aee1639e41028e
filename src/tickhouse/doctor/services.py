"""The doctor's look at the services: S3, SQS, notifications, ClickHouse, Pub/Sub; reached, provisioned, allowed."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from tickhouse.doctor.findings import CheckFailed, Finding
from tickhouse_core.aws import aws_errors, s3_client
from tickhouse_core.clickhouse_driver import NO_SERVER
from tickhouse_core.datasets import DATASETS, QUEUES
from tickhouse_core.errors import (
    LakeRefused,
    LakeUnavailable,
    NotProvisioned,
    TickhouseError,
    UsageError,
    WarehouseRefused,
    WarehouseUnavailable,
)
from tickhouse_core.lake import open_queue
from tickhouse_core.s3_store import S3Store
from tickhouse_core.settings import LakeSettings, PubSubSettings, WarehouseSettings, read
from tickhouse_core.warehouse import connect, where_to_read
from transform_process.migrate import missing_from, newer_than_this

_PROBE = "doctor/probe"
_PROVISION_AWS = "tickhouse provision --aws"
_START = "start S3 and SQS (make up), or correct AWS_ENDPOINT_URL; leave it out for AWS itself"
_WRITER = "set CLICKHOUSE_USERNAME to an account that may write; a reader is STATUS_USERNAME"
_CREDENTIALS = "set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_DEFAULT_REGION to an account that may use bucket and queues"
_PUBSUB_SECONDS = 4.0
_ANSWER_SECONDS = 10


def check_s3() -> Iterator[Finding]:
    bucket = read(LakeSettings).bucket
    with _lake_trouble():
        store = S3Store(bucket, brief=True)
        next(iter(store.list_keys("data_sources/")), None)
        store.write(_PROBE, b"may this process write here? yes")
        with aws_errors(f"s3://{bucket}/{_PROBE}"):
            s3_client(brief=True).delete_object(Bucket=bucket, Key=_PROBE)
    yield Finding("S3", "ok", f"bucket {bucket} can be listed and written")


def check_sqs() -> Iterator[Finding]:
    with _lake_trouble():
        depths = {name: open_queue(name, brief=True).depth() for queue in QUEUES for name in (queue, f"{queue}-dlq")}
    yield Finding("SQS", "ok", f"{len(depths)} queues are there")
    for name, depth in depths.items():
        if name.endswith("-dlq") and not depth.is_empty:
            yield Finding("SQS", "warning", f"{depth.visible} dead letters in {name}", f"tickhouse redrive --dlq {name}")


def check_notifications() -> Iterator[Finding]:
    bucket = read(LakeSettings).bucket
    with _lake_trouble(), aws_errors(f"notifications of bucket {bucket}"):
        current = s3_client(brief=True).get_bucket_notification_configuration(Bucket=bucket)
    configured = {entry.get("Id") for entry in current.get("QueueConfigurations", ())}
    missing = [dataset.name for dataset in DATASETS if dataset.notification_id not in configured]
    if missing:
        raise CheckFailed(
            f"the bucket sends no notification for {', '.join(missing)}", f"{_PROVISION_AWS}, then: tickhouse reconcile"
        )
    yield Finding("notifications", "ok", f"new objects of all {len(DATASETS)} datasets reach their queues")


def check_warehouse() -> Iterator[Finding]:
    settings = read(WarehouseSettings)
    where = f"the folder {settings.path}" if settings.path else f"{settings.host}:{settings.port}"
    try:
        asked = where_to_read(settings)
        with closing(connect(asked, database="default", first_answer_seconds=_ANSWER_SECONDS)) as warehouse:
            [[version]] = warehouse.query("select version()")
            [[readonly]] = warehouse.query("select getSetting('readonly')") if asked == settings else [[0]]
            there = warehouse.query(
                "select 1 from system.tables where database = {name:String} and name = 'ops_schema_migrations'",
                {"name": settings.database},
            )
            sql = f"select name, checksum from {settings.database}.ops_schema_migrations final"  # noqa: S608  # a name the settings checked
            applied = {str(name): str(checksum) for name, checksum in warehouse.query(sql)} if there else {}
    except UsageError as error:
        raise CheckFailed(*_refused(str(error), where, is_embedded=settings.path is not None)) from error
    except WarehouseUnavailable as error:
        what = str(error).removeprefix("ClickHouse: ").removesuffix(f": {NO_SERVER}")
        raise CheckFailed(what if "no server answers" in what else f"{where} does not answer: {what}", NO_SERVER) from error
    except WarehouseRefused as error:
        raise CheckFailed(
            str(error), "grant select, insert, create, alter, delete and drop view on the database to CLICKHOUSE_USERNAME"
        ) from error
    if readonly:
        raise CheckFailed(f"the account may only read at {where}", _WRITER)
    if unknown := newer_than_this(applied):
        what = f"database {settings.database} has schema files that this tickhouse does not know: {unknown[0]}"
        raise CheckFailed(what, "use the tickhouse that made it or a newer one, or set CLICKHOUSE_DATABASE to a new name")
    if missing := missing_from(applied):
        names = ", ".join(one.name for one in missing)
        what = (
            f"not applied in database {settings.database}: {names}" if applied else f"database {settings.database} has no schema"
        )
        raise CheckFailed(what, "tickhouse provision --warehouse" if settings.path is None else "tickhouse migrate")
    yield Finding("ClickHouse", "ok", f"{version} at {where}, schema up to date")


def check_pubsub() -> Iterator[Finding]:
    settings = read(PubSubSettings)
    if not settings.is_configured:
        yield Finding("Pub/Sub", "skipped", "not configured: only the mirror needs it")
        return
    from google.pubsub_v1 import PublisherClient  # Google's client is loaded only here

    from extract_process.mirror.messages import CHANNELS, topic_name
    from extract_process.mirror.pubsub import credentials_needed, pubsub_errors, topic_path
    from extract_process.venues import venue_names

    names = [topic_name(venue, channel) for venue in venue_names() for channel in CHANNELS]
    try:
        with credentials_needed(), PublisherClient() as client:
            for name in names:
                with pubsub_errors(f"topic {name} of project {settings.project}"):
                    client.get_topic(topic=topic_path(settings.project, name), retry=None, timeout=_PUBSUB_SECONDS)
    except NotProvisioned as error:
        raise CheckFailed(str(error), "tickhouse provision --pubsub") from error
    except UsageError as error:
        raise CheckFailed(str(error), "set GOOGLE_APPLICATION_CREDENTIALS, or PUBSUB_EMULATOR_HOST for the emulator") from error
    except TickhouseError as error:
        fix = "start the emulator (docker compose up --detach pubsub), or correct PUBSUB_EMULATOR_HOST and GOOGLE_CLOUD_PROJECT"
        raise CheckFailed(str(error), fix) from error
    yield Finding("Pub/Sub", "ok", f"{len(names)} topics of {settings.project} are there")


@contextmanager
def _lake_trouble() -> Iterator[None]:
    try:
        yield
    except NotProvisioned as error:
        raise CheckFailed(str(error), _PROVISION_AWS) from error
    except UsageError as error:
        what, _, advice = str(error).partition(". Set ")  # the message names its own fix
        raise CheckFailed(what, f"set {advice}" if advice else _CREDENTIALS) from error
    except (LakeUnavailable, LakeRefused) as error:
        raise CheckFailed(str(error), _START) from error


def _refused(words: str, where: str, *, is_embedded: bool) -> tuple[str, str]:
    if is_embedded:
        if "no warehouse" in words:
            return words, "tickhouse migrate"
        return words, f"one process at a time may hold {where}, and it has to be able to write there"
    if "UNKNOWN_DATABASE" in words:
        return words, "tickhouse provision --warehouse"
    return words, "correct CLICKHOUSE_USERNAME and CLICKHOUSE_PASSWORD"
