"""What a drawn fault looks like from outside: answers in place of real ones, bodies cut short."""

from dataclasses import replace

from simulated_exchange.binance.limits import Cause, Verdict
from simulated_exchange.binance.parameters import VenueError
from simulated_exchange.binance.rest import Reply, over_limit, refusal
from simulated_exchange.server.http_faults import Fault, FaultKind

_UNKNOWN = "An unknown error occurred while processing the request."
_BUSY = "Spot server is currently overloaded with other requests. Please try again in a few minutes."
_FORBIDDEN = b"<html><head><title>403 Forbidden</title></head><body><h1>403 Forbidden</h1></body></html>"


def injected_reply(fault: Fault, banned: Verdict | None, weight_limit: int, raw_request_limit: int) -> Reply | None:
    """The answer instead of the real one, None where the real one is only spoiled; `banned` goes with http_418."""
    match fault.kind:
        case FaultKind.HTTP_500:
            return refusal(VenueError(-1000, _UNKNOWN, status=500))
        case FaultKind.HTTP_503_BUSY:
            return refusal(VenueError(-1008, _BUSY, status=503))
        case FaultKind.HTTP_403:
            return Reply(403, _FORBIDDEN, "text/html")
        case FaultKind.HTTP_429:
            verdict = Verdict(429, 0, retry_after=fault.amount, exceeded="weight", cause=Cause.INJECTED)
            return over_limit(verdict, weight_limit, raw_request_limit)
        case FaultKind.HTTP_418 if banned:
            return over_limit(banned, weight_limit, raw_request_limit)
        case _:
            return None


def cut_short(reply: Reply) -> Reply:
    """A complete HTTP answer whose JSON stops in the middle."""
    return replace(reply, body=half(reply.body))


def half(body: bytes) -> bytes:
    return body[: max(1, len(body) // 2)]
