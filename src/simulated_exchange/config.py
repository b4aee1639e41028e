"""Everything an exchange is started with, checked at once, and halts as text; ValueError carries one line for a person."""

from dataclasses import dataclass, field
from pathlib import Path

from simulated_exchange.market.generated import Halt
from simulated_exchange.market.instruments import MOST
from simulated_exchange.server.faults import Fault, SocketFault
from simulated_exchange.server.paced import Start
from simulated_exchange.server.socket_limits import SocketLimits
from tickhouse_core import timestamps

HIGHEST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class KucoinLimits:
    """Seconds are those of the exchange's clock. `silence_seconds`: a client that says nothing for so long is closed."""

    weight_limit: int = 2_000
    ping_seconds: float = 18.0
    pong_seconds: float = 10.0
    silence_seconds: float = 60.0
    topics_per_connection: int = 400
    messages_per_ten_seconds: int = 100

    def __post_init__(self) -> None:
        if min(self.weight_limit, self.topics_per_connection, self.messages_per_ten_seconds) < 1:
            raise ValueError("limits of KuCoin must be at least 1")
        if min(self.ping_seconds, self.pong_seconds, self.silence_seconds) <= 0:
            raise ValueError("KuCoin's ping, pong and silence must be longer than 0 seconds")


MOST_PACE = 100


@dataclass(frozen=True, slots=True)
class ExchangeConfig:
    """`port` 0 is any free one; `now` in milliseconds, None = the wall clock or where the recording wants it.

    `replay_from` and `replay_to` in microseconds: the part of the lake that is replayed, None = all of it.
    """

    host: str = "127.0.0.1"
    port: int = 0
    seed: int = 1
    symbols: int = 10
    pace: int = 1
    """So many times the usual orders in the books of the generated market."""

    replay: tuple[Path, ...] = ()
    replay_lake: str = ""
    replay_from: int | None = None
    replay_to: int | None = None
    now: int | None = None
    time_scale: float = 1.0
    replay_speed: float = 1.0
    replay_start: Start = Start.ANY
    # Limits
    weight_limit: int = 6_000
    futures_weight_limit: int = 2_400
    """Of both futures markets together."""

    ban_after: int = 10
    sockets: SocketLimits = field(default_factory=SocketLimits)
    kucoin: KucoinLimits = field(default_factory=KucoinLimits)
    # Trouble
    latency_ms: int = 0
    latency_jitter_ms: int = 0
    faults: tuple[Fault | SocketFault, ...] = ()
    halts: tuple[Halt, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.symbols <= MOST:
            raise ValueError(f"symbols must be between 1 and {MOST}, not {self.symbols}")
        if not 1 <= self.pace <= MOST_PACE:
            raise ValueError(f"pace must be between 1 and {MOST_PACE}, not {self.pace}")
        if not 0 <= self.port <= HIGHEST_PORT:
            raise ValueError(f"port must be between 0 and {HIGHEST_PORT}, not {self.port}")
        if min(self.weight_limit, self.futures_weight_limit) < 1:
            raise ValueError("the weight limit must be at least 1")
        if min(self.latency_ms, self.latency_jitter_ms, self.ban_after) < 0:
            raise ValueError("latency and ban_after cannot be negative")
        if self.time_scale <= 0 or self.replay_speed < 0:
            raise ValueError("time-scale must be more than 0, and replay-speed cannot be negative")
        if (self.replay or self.replay_lake) and self.halts:
            raise ValueError("a recording cannot be halted")
        if self.replay and self.replay_lake:
            raise ValueError("either --replay or --replay-lake: both are the market")
        if not self.replay_lake and (self.replay_from is not None or self.replay_to is not None):
            raise ValueError("--from and --to are of --replay-lake")
        if self.replay_from is not None and self.replay_to is not None and self.replay_from >= self.replay_to:
            first, end = map(timestamps.format_instant, (self.replay_from, self.replay_to))
            raise ValueError(f"--from {first} is not before --to {end}")


def parse_halt(text: str) -> Halt:
    """`SYMBOL=FROM/TO` with ISO instants (UTC where no offset is given); ValueError if it is not one."""
    symbol, equals, period = text.partition("=")
    start, slash, end = period.partition("/")
    if not (symbol and equals and slash):
        raise ValueError(f"halt {text!r}: expected SYMBOL=FROM/TO")
    return Halt(symbol, parse_instant(start), parse_instant(end))


def parse_instant(text: str) -> int:
    """An ISO instant as milliseconds; ValueError if it is not one."""
    try:
        return timestamps.parse_instant(text) // 1_000
    except ValueError as error:
        raise ValueError(f"{text!r} is not an ISO date or instant") from error
