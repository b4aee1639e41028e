"""resources/aws/tickhouse.yaml: valid for AWS, and the same lake that `tickhouse provision` makes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from conftest import ROOT
from tools import make_aws

from tickhouse.provision import provision_aws
from tickhouse_core.aws import s3_client, sqs_client
from tickhouse_core.cells import Cell
from tickhouse_core.datasets import DATASETS, QUEUES
from tickhouse_core.settings import RetentionSettings

if TYPE_CHECKING:
    from conftest import Lake

TEMPLATE = ROOT / "resources" / "aws" / "tickhouse.yaml"
SAME = ["VisibilityTimeout", "MessageRetentionPeriod", "ReceiveMessageWaitTimeSeconds", "RedrivePolicy"]


@pytest.fixture(scope="module")
def resources() -> dict[str, Any]:
    from cfnlint.decode import cfn_yaml  # it brings SymPy: a second and a half, in each of the test run's processes

    return dict(cfn_yaml.load(str(TEMPLATE))["Resources"])


def deploy_queues(resources: dict[str, Any], suffix: str = "") -> None:
    """Into an account that has none yet; moto knows no queue policies."""
    queues = {name: resource for name, resource in resources.items() if resource["Type"] == "AWS::SQS::Queue"}
    for url in sqs_client().list_queues()["QueueUrls"]:
        sqs_client().delete_queue(QueueUrl=url)
    boto3.client("cloudformation").create_stack(
        StackName="tickhouse",
        TemplateBody=json.dumps(
            {"AWSTemplateFormatVersion": "2010-09-09", "Parameters": {"CellSuffix": {"Type": "String"}}, "Resources": queues}
        ),
        Parameters=[{"ParameterKey": "CellSuffix", "ParameterValue": suffix}],
    )


def attributes(queue: str) -> dict[str, Any]:
    url = sqs_client().get_queue_url(QueueName=queue)["QueueUrl"]
    found: Any = sqs_client().get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    if "RedrivePolicy" in found:
        found["RedrivePolicy"] = json.loads(found["RedrivePolicy"])
    return {name: found.get(name) for name in SAME}


def statements(resources: dict[str, Any], policy: str) -> list[dict[str, Any]]:
    found = list(resources[policy]["Properties"]["PolicyDocument"]["Statement"])
    assert found
    return found


def test_its_parts_are_what_make_aws_writes() -> None:
    text = TEMPLATE.read_text(encoding="utf-8")
    assert {part.group(2) for part in make_aws.PART.finditer(text)} == make_aws.PARTS.keys()
    assert text == make_aws.made(text), "run make aws"


def test_the_template_is_valid_for_aws() -> None:
    from cfnlint.api import lint_file

    assert lint_file(TEMPLATE) == []


@pytest.mark.slow
@pytest.mark.parametrize("cell", [Cell(), Cell(2, 2)])
def test_a_stack_has_the_queues_that_provision_makes(cell: Cell, moto_lake: Lake, resources: dict[str, Any]) -> None:
    provision_aws(f"{moto_lake.store.bucket}{cell.suffix}", cell=cell)
    names = [f"{name}{cell.suffix}" for queue in QUEUES for name in (queue, f"{queue}-dlq")]
    provisioned = {name: attributes(name) for name in names if "-dlq" not in name}
    deploy_queues(resources, cell.suffix)
    assert {name: attributes(name) for name in provisioned} == provisioned
    assert [attributes(name)["MessageRetentionPeriod"] for name in names] == ["1209600"] * len(names)


def test_every_dataset_notifies_its_queue(resources: dict[str, Any]) -> None:
    configured = resources["Lake"]["Properties"]["NotificationConfiguration"]["QueueConfigurations"]
    found = {}
    for entry in configured:
        rules = {rule["Name"]: rule["Value"] for rule in entry["Filter"]["S3Key"]["Rules"]}
        assert (entry["Event"], rules["suffix"]) == ("s3:ObjectCreated:*", ".parquet")
        found[rules["prefix"]] = resources[entry["Queue"]["Fn::GetAtt"][0]]["Properties"]["QueueName"]["Fn::Sub"]
    assert found == {dataset.prefix: f"{dataset.queue}${{CellSuffix}}" for dataset in DATASETS}


def test_provision_after_the_template_adds_no_second_notification(moto_lake: Lake) -> None:
    """CloudFormation gives notifications ids of its own, and S3 refuses two with overlapping prefixes."""
    current: Any = s3_client().get_bucket_notification_configuration(Bucket=moto_lake.store.bucket)
    ours = current["QueueConfigurations"]
    chosen: Any = [{**entry, "Id": f"chosen-by-aws-{number}"} for number, entry in enumerate(ours)]
    s3_client().put_bucket_notification_configuration(
        Bucket=moto_lake.store.bucket, NotificationConfiguration={"QueueConfigurations": chosen}
    )
    provision_aws(moto_lake.store.bucket, RetentionSettings())
    after: Any = s3_client().get_bucket_notification_configuration(Bucket=moto_lake.store.bucket)
    assert sorted(entry["Id"] for entry in after["QueueConfigurations"]) == sorted(entry["Id"] for entry in ours)


def deleted_from(resources: dict[str, Any], policy: str) -> set[str]:
    """Where objects may be deleted, after a look that nothing is allowed wholesale."""
    found = set()
    for statement in statements(resources, policy):
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        assert actions
        assert not [action for action in actions if "*" in action]
        assert statement["Resource"] != "*"
        if any(action.startswith("s3:Delete") for action in actions):
            found |= {resource["Fn::Sub"] for resource in statement["Resource"]}
    return found


@pytest.mark.parametrize("policy", ["ExtractorPolicy", "LoaderPolicy"])
def test_nobody_may_do_everything_or_delete_objects(policy: str, resources: dict[str, Any]) -> None:
    assert deleted_from(resources, policy) == set()


def test_the_compactor_deletes_what_it_merges_and_nothing_else(resources: dict[str, Any]) -> None:
    merged = {f"${{Lake.Arn}}/{dataset.prefix}*" for dataset in DATASETS if dataset.name != "klines"}
    assert deleted_from(resources, "CompactorPolicy") == merged
    assert resources["CompactorRole"]["Properties"]["ManagedPolicyArns"] == [{"Ref": "CompactorPolicy"}]


def test_the_catalogue_deletes_no_row(resources: dict[str, Any]) -> None:
    made = {"iceberg/*", "compactions/*.held", "compactions/*.released"}
    assert deleted_from(resources, "CatalogPolicy") == {f"${{Lake.Arn}}/{name}" for name in made}
    assert resources["CatalogRole"]["Properties"]["ManagedPolicyArns"] == [{"Ref": "CatalogPolicy"}]


def test_who_loads_compacted_objects_may_read_what_they_were_made_of(resources: dict[str, Any]) -> None:
    (read,) = [one for one in statements(resources, "LoaderPolicy") if one["Action"] == "s3:GetObject"]
    assert {"Fn::Sub": "${Lake.Arn}/compactions/*"} in read["Resource"]


def test_only_objects_move_to_cold_storage_that_are_cheaper_there(resources: dict[str, Any]) -> None:
    """Glacier Instant Retrieval bills at least 128 KB an object."""
    rules = {rule["Id"]: rule for rule in resources["Lake"]["Properties"]["LifecycleConfiguration"]["Rules"]}
    assert int(rules["tickhouse-cold"]["ObjectSizeGreaterThan"]) == 128 * 1024 - 1


def test_the_extractor_reads_and_writes_data_and_nothing_else(resources: dict[str, Any]) -> None:
    assert {
        action
        for statement in statements(resources, "ExtractorPolicy")
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    } == {"s3:PutObject", "s3:GetObject", "s3:ListBucket"}


def test_the_loader_writes_to_quarantine_only(resources: dict[str, Any]) -> None:
    writing = [statement for statement in statements(resources, "LoaderPolicy") if "s3:PutObject" in statement["Action"]]
    assert [statement["Resource"] for statement in writing] == [{"Fn::Sub": "${Lake.Arn}/quarantine/*"}]
