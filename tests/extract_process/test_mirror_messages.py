"""The mirror's messages: the bytes of the contract, and the published schemas (JSON, Avro, protobuf) hold for them."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

from extract_process.mirror.messages import CHANNELS, TOPIC_ENDS, BookSides, BookState, Message, MessageForms, topic_name
from extract_process.records import Ticker, Trade

RESOURCES = Path(__file__).resolve().parents[2] / "resources" / "pubsub"
FORMS = MessageForms("binance", "BTCUSDT")
MOMENT = BookState(50093239218, 1_723_161_253_100_000, 1_723_161_253_104_211)
DELTA = FORMS.delta(8, MOMENT, 30, BookSides([("61837.63000000", "3.78826000"), ("61802.01000000", "0")], []))
SNAPSHOT = FORMS.snapshot(7, MOMENT, 30, BookSides([("1.10", "2")], [("1.20", "3")]))
TRADE = FORMS.trade(9, Trade("BTCUSDT", 77, "61837.63", "0.5", True, 5, 6), 7)
TICKER = FORMS.ticker(10, Ticker("BTCUSDT", 6, "1", "2", "0.5", "1.5", "10", "15"), 7)


def schema(channel: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((RESOURCES / f"{TOPIC_ENDS[channel]}.schema.json").read_text(encoding="utf-8"))
    return loaded


def test_a_delta_is_byte_for_byte_what_the_contract_says() -> None:
    assert DELTA.data == (
        b'{"venue":"binance","symbol":"BTCUSDT","sequence":8,"last_update_id":50093239218,"event_time":1723161253100000,'
        b'"receipt_time":1723161253104211,"levels":30,"bids":[["61837.63000000","3.78826000"],["61802.01000000","0"]],"asks":[]}'
    )
    assert FORMS.attributes(DELTA) == {"venue": "binance", "symbol": "BTCUSDT", "type": "delta", "sequence": "8"}
    assert FORMS.ordering_key == "binance:BTCUSDT"


def test_topics_are_named_as_in_the_contract() -> None:
    assert [topic_name("kucoin", channel) for channel in CHANNELS] == [
        "crypto.kucoin.l2",
        "crypto.kucoin.trades",
        "crypto.kucoin.ticker",
    ]


def test_a_ticker_leaves_out_what_the_venue_does_not_send() -> None:
    assert orjson.loads(TICKER.data) == {
        "venue": "binance",
        "symbol": "BTCUSDT",
        "sequence": 10,
        "receipt_time": 7,
        "event_time": 6,
        "open": "1",
        "high": "2",
        "low": "0.5",
        "close": "1.5",
        "volume": "10",
        "quote_volume": "15",
    }


@pytest.mark.parametrize(
    ("channel", "message"),
    [("depth", DELTA), ("depth", SNAPSHOT), ("trades", TRADE), ("ticker", TICKER)],
    ids=lambda x: str(x)[:9],
)
def test_the_schema_holds_for_every_message_and_for_no_broken_one(channel: str, message: Message) -> None:
    validator = jsonschema.Draft202012Validator(schema(channel))
    validator.check_schema(schema(channel))
    body = orjson.loads(message.data)
    validator.validate(body)
    for name in schema(channel)["required"]:
        assert not validator.is_valid({key: value for key, value in body.items() if key != name})
    assert not validator.is_valid({**body, "sequence": str(body["sequence"])})
    assert not validator.is_valid({**body, "surprise": 1})


@pytest.mark.parametrize("level", [["1"], ["1", 2], ["1", "-2"], ["1e5", "2"], ["1", "2", "3"]])
def test_the_schema_knows_a_level(level: list[object]) -> None:
    body = orjson.loads(DELTA.data)
    assert not jsonschema.Draft202012Validator(schema("depth")).is_valid({**body, "bids": [level]})


AVRO_TYPES = {"integer": ("long", "int"), "string": ("string",), "boolean": ("boolean",)}
LEVELS = {"type": "array", "items": {"type": "array", "items": "string"}}


@pytest.mark.parametrize(("channel", "message"), [("depth", SNAPSHOT), ("trades", TRADE)])
def test_the_avro_schema_has_the_fields_of_the_json_schema(channel: str, message: Message) -> None:
    avro = json.loads((RESOURCES / f"{TOPIC_ENDS[channel]}.avsc").read_text(encoding="utf-8"))
    properties, fields = schema(channel)["properties"], {field["name"]: field["type"] for field in avro["fields"]}
    assert list(fields) == list(properties) == list(orjson.loads(message.data)) == schema(channel)["required"]
    for name, said in properties.items():
        if said.get("type") == "array":
            assert fields[name] == LEVELS
        else:
            assert fields[name] in AVRO_TYPES[said.get("type", "string")], name


def test_the_protobuf_of_a_ticker_reads_every_message_and_refuses_a_surprise() -> None:
    properties, required = schema("ticker")["properties"], set(schema("ticker")["required"])
    found = re.findall(r"^  (optional )?(\w+) (\w+) = (\d+);$", (RESOURCES / "ticker.proto").read_text(), flags=re.MULTILINE)
    assert {name: (not optional, kind) for optional, kind, name, _ in found} == {
        name: (name in required, "int64" if said.get("type") == "integer" else "string") for name, said in properties.items()
    }
    ticker = _message_class(found)
    for sent in (TICKER, FORMS.ticker(11, Ticker("BTC-USDT", 6, None, None, None, "1.5", None, None, "1.4"), 7)):
        read = json_format.MessageToDict(json_format.Parse(sent.data, ticker()), preserving_proto_field_name=True)
        assert {name: str(value) for name, value in orjson.loads(sent.data).items()} == read
    with pytest.raises(json_format.ParseError, match="surprise"):
        json_format.Parse('{"venue": "binance", "surprise": "1"}', ticker())


def _message_class(fields: list[tuple[str, str, str, str]]) -> Any:
    """What protoc would make of these lines."""
    file = descriptor_pb2.FileDescriptorProto(name="ticker.proto", syntax="proto3")
    message = file.message_type.add(name="Ticker")
    for optional, kind, name, number in fields:
        field = message.field.add(name=name, number=int(number), label=descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL)
        field.type = descriptor_pb2.FieldDescriptorProto.Type.Value(f"TYPE_{kind.upper()}")
        if optional:
            field.proto3_optional, field.oneof_index = True, len(message.oneof_decl)
            message.oneof_decl.add(name=f"_{name}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("Ticker"))
