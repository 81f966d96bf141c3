"""Records as Arrow batches, with the columns that a stream's JSON schema describes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa
from pyspark.sql import types
from pyspark.sql.pandas.types import to_arrow_schema

from source_amplitude.extensions.errors import config_error
from source_amplitude.process.messages import to_json, valid
from source_amplitude.variant import encode_variant

PLAIN = {
    "string": types.StringType(),
    "integer": types.LongType(),
    "number": types.DoubleType(),
    "boolean": types.BooleanType(),
}
MOMENTS = {"date-time": types.TimestampType(), "date": types.DateType()}
Convert = Callable[[Sequence[Any], pa.DataType], pa.Array]


def columns_of(schema: Mapping[str, Any], objects: types.DataType) -> types.StructType:
    """The columns of a JSON schema; `objects` is the type of objects and of lists of anything.

    A property of several types is a string: of a text the text itself, of all else its JSON.
    """
    fields = []
    for name, rule in schema["properties"].items():
        (kind, *others) = [kind for kind in rule["type"] if kind != "null"]
        if others:
            column: types.DataType = types.StringType()
        elif kind == "object":
            column = objects
        elif kind == "array":
            strings = "string" in rule.get("items", {}).get("type", ())
            column = types.ArrayType(types.StringType()) if strings else objects
        else:
            column = MOMENTS.get(rule.get("format"), PLAIN[kind])
        fields.append(types.StructField(name, column))
    return types.StructType(fields)


def record_batch(
    stream: str, records: Sequence[Mapping[str, Any]], columns: types.StructType
) -> pa.RecordBatch:
    """One row per record, with null for what a record has not; memory: a few times that of the records.

    Raises:
        AirbyteTracedException: config_error, a value is none of its column's type.
    """
    try:
        schema = to_arrow_schema(columns, timezone="UTC")
    except TypeError:  # the first versions of Spark 4, in which it is always UTC
        schema = to_arrow_schema(columns)
    arrays = []
    for field, arrow in zip(columns, schema, strict=True):
        convert = CONVERSIONS.get(type(field.dataType), pa.array)
        try:
            arrays.append(convert([record.get(field.name) for record in records], arrow.type))
        except (pa.ArrowException, OverflowError, TypeError, ValueError):
            raise config_error(
                f"The column {field.name} of {stream} has a value that is no"
                f" {field.dataType.simpleString()}: read it as text, with `.schema(...)` and `string` for"
                " its type."
            ) from None
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _texts(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    texts = [v if v is None or isinstance(v, str) else to_json(v).decode() for v in values]
    try:
        return pa.array(texts, kind)
    except UnicodeEncodeError:
        return pa.array([text and valid(text) for text in texts], kind)


def _moments(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    return pa.array(values, pa.string()).cast(kind)


def _doubles(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    if any(isinstance(value, bool) for value in values):
        raise TypeError
    return pa.array(values, kind)


def _variants(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    return pa.array([None if v is None else encode_variant(v) for v in values], kind)


CONVERSIONS: dict[type[types.DataType], Convert] = {
    types.StringType: _texts,
    types.TimestampType: _moments,
    types.DateType: _moments,
    types.DoubleType: _doubles,
    types.VariantType: _variants,
}
