"""What a dataset's table is in Iceberg: columns with ids, partitions, properties. Files have no ids: names are mapped.

Unsigned numbers become long and int: Iceberg has no unsigned ones, and no venue's ids reach 2^63.
"""

import pyarrow as pa
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import (
    BooleanType,
    DecimalType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    NestedField,
    StringType,
    StructType,
    TimestamptzType,
)

from tickhouse_core.datasets import Dataset

_FIRST_PARTITION_ID = 1_000


def schema_of(dataset: Dataset) -> Schema:
    """Columns are 1, 2, … in the dataset's order; what is inside of lists has the numbers after them."""
    inner = iter(range(len(dataset.schema) + 1, 1_000))

    def type_of(arrow: pa.DataType) -> IcebergType:
        if pa.types.is_list(arrow):
            number = next(inner)
            return ListType(number, type_of(arrow.value_type), element_required=not arrow.value_field.nullable)
        if pa.types.is_struct(arrow):
            return StructType(*[field_of(next(inner), field) for field in arrow])
        return _primitive(arrow)

    def field_of(number: int, field: pa.Field) -> NestedField:
        return NestedField(number, field.name, type_of(field.type), required=not field.nullable)

    return Schema(*[field_of(number, field) for number, field in enumerate(dataset.schema, 1)])


def spec_of(dataset: Dataset) -> PartitionSpec:
    """By venue, and by symbol where an object has one: statistics say which. Days are not partitions, an object's first rows may
    be of the day before its own; its statistics say from when to when they are."""
    schema = schema_of(dataset)
    return PartitionSpec(
        *[
            PartitionField(schema.find_field(name).field_id, _FIRST_PARTITION_ID + place, IdentityTransform(), name)
            for place, name in enumerate(partitions_of(dataset))
        ]
    )


def partitions_of(dataset: Dataset) -> tuple[str, ...]:
    return ("venue", "symbol") if dataset.channel is not None else ("venue",)


def properties_of(dataset: Dataset) -> dict[str, str]:
    """pyiceberg's own retry of a commit would repeat a decision that was made before the other one: ours begins again."""
    nested = [field.name for field in dataset.schema if pa.types.is_list(field.type)]
    lists = [name for name in schema_of(dataset).column_names if name.split(".")[0] in nested]
    return {
        "schema.name-mapping.default": schema_of(dataset).name_mapping.model_dump_json(),
        "commit.retry.num-retries": "0",
        "write.metadata.delete-after-commit.enabled": "true",
        "write.metadata.previous-versions-max": "100",
    } | {f"write.metadata.metrics.column.{name}": "none" for name in lists}


def _primitive(arrow: pa.DataType) -> IcebergType:
    if pa.types.is_dictionary(arrow) or pa.types.is_string(arrow):
        return StringType()
    if pa.types.is_decimal(arrow):
        return DecimalType(arrow.precision, arrow.scale)
    if pa.types.is_timestamp(arrow):
        return TimestamptzType()
    if pa.types.is_boolean(arrow):
        return BooleanType()
    return IntegerType() if arrow.bit_width <= 32 else LongType()
