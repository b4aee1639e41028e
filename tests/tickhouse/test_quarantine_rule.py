from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tickhouse.provision import provision_aws
from tickhouse_core.aws import s3_client
from tickhouse_core.settings import RetentionSettings

if TYPE_CHECKING:
    from conftest import Lake

THEIRS: Any = {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 1}}


def rules(lake: Lake) -> list[tuple[str, str, str, int]]:
    try:
        found: Any = s3_client().get_bucket_lifecycle_configuration(Bucket=lake.store.bucket)["Rules"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchLifecycleConfiguration":
            raise
        return []
    return [(rule["ID"], rule["Status"], rule["Filter"]["Prefix"], rule["Expiration"]["Days"]) for rule in found]


def provision(lake: Lake, days: int | None) -> None:
    provision_aws(lake.store.bucket, RetentionSettings(quarantine_days=days))


def test_what_is_quarantined_goes_after_the_days_set_and_stays_for_ever_without(moto_lake: Lake) -> None:
    assert rules(moto_lake) == []
    for days in (30, 30, 7):
        provision(moto_lake, days)
        assert rules(moto_lake) == [("tickhouse-quarantine", "Enabled", "quarantine/", days)]
    for _ in range(2):
        provision(moto_lake, None)
        assert rules(moto_lake) == []


def test_rules_of_others_stay(moto_lake: Lake) -> None:
    s3_client().put_bucket_lifecycle_configuration(Bucket=moto_lake.store.bucket, LifecycleConfiguration={"Rules": [THEIRS]})
    theirs = ("theirs", "Enabled", "tmp/", 1)
    provision(moto_lake, 30)
    assert rules(moto_lake) == [theirs, ("tickhouse-quarantine", "Enabled", "quarantine/", 30)]
    provision(moto_lake, None)
    assert rules(moto_lake) == [theirs]


def test_without_settings_the_rule_stays_as_it_is(moto_lake: Lake) -> None:
    provision(moto_lake, 30)
    provision_aws(moto_lake.store.bucket)
    assert rules(moto_lake) == [("tickhouse-quarantine", "Enabled", "quarantine/", 30)]
