"""PURE. How answers of the venue's REST API lie in the spool: what was asked in one line, then the body as it came."""

from dataclasses import asdict, dataclass

import orjson


@dataclass(frozen=True, slots=True)
class RestAnswer:
    """One answer. `what` is depth, trades or klines; of trades and klines only ids in `from_id`..`to_id` are meant."""

    what: str
    symbol: str
    body: bytes
    reason: str = ""
    interval: str = ""
    from_id: int = 0
    to_id: int = 0

    def payload(self) -> bytes:
        asked = asdict(self)
        del asked["body"]
        return orjson.dumps(asked) + b"\n" + self.body


def parse_rest_answer(payload: bytes) -> RestAnswer:
    """The inverse of `RestAnswer.payload`."""
    asked, _, body = payload.partition(b"\n")
    return RestAnswer(body=body, **orjson.loads(asked))
