"""Everything an exchange is started with, checked at once; ValueError carries one line for a person."""

from dataclasses import dataclass, field
from pathlib import Path

from simulated_exchange.binance.recording import read_recording as read_binance
from simulated_exchange.kucoin.limits import KucoinLimits
from simulated_exchange.kucoin.recording import read_recording as read_kucoin
from simulated_exchange.market.generated import Halt, Market
from simulated_exchange.market.instruments import MOST, listed_instruments
from simulated_exchange.server.http_faults import Fault
from simulated_exchange.server.recorded_klines import Replay
from simulated_exchange.server.recorded_session import Session
from simulated_exchange.server.replay import Start
from simulated_exchange.server.socket_faults import SocketFault
from simulated_exchange.server.socket_limits import SocketLimits

HIGHEST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class ExchangeConfig:
    """`port` 0 is any free one; `now` in milliseconds, None = the wall clock or where the recording wants it."""

    host: str = "127.0.0.1"
    port: int = 0
    seed: int = 1
    symbols: int = 10
    replay: tuple[Path, ...] = ()
    now: int | None = None
    time_scale: float = 1.0
    replay_speed: float = 1.0
    replay_start: Start = Start.ANY
    # Limits
    weight_limit: int = 6_000
    raw_request_limit: int = 300_000
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
        if not 0 <= self.port <= HIGHEST_PORT:
            raise ValueError(f"port must be between 0 and {HIGHEST_PORT}, not {self.port}")
        if min(self.weight_limit, self.raw_request_limit) < 1:
            raise ValueError("limits must be at least 1")
        if min(self.latency_ms, self.latency_jitter_ms, self.ban_after) < 0:
            raise ValueError("latency and ban_after cannot be negative")
        if self.time_scale <= 0 or self.replay_speed < 0:
            raise ValueError("time-scale must be more than 0, and replay-speed cannot be negative")
        if self.replay and self.halts:
            raise ValueError("a recording cannot be halted: use --halt without --replay")


@dataclass(frozen=True, slots=True)
class Opened:
    """What one exchange shows: a source for each venue, and the recorded sessions if there are any."""

    source: Market | Replay
    session: Session | None
    kucoin_source: Market | Replay
    kucoin_session: Session | None


def open_source(config: ExchangeConfig) -> Opened:
    """The generated market, or the recordings; ReplayError (a ValueError) if those cannot be read."""
    if not config.replay:
        market = halted(Market(config.seed, listed_instruments(config.symbols)), config.halts)
        return Opened(market, None, market, None)
    session, kucoin = read_binance(config.replay), read_kucoin(config.replay)
    found = dict(session.instruments) if session else {} if kucoin else None
    return Opened(Replay(config.replay, found), session, Replay((), dict(kucoin.instruments) if kucoin else {}), kucoin)


def halted(market: Market, halts: tuple[Halt, ...]) -> Market:
    """The same market with other halts; ValueError if one is empty or its symbol is not listed."""
    for halt in halts:
        if halt.symbol not in market.instruments:
            raise ValueError(f"cannot halt {halt.symbol}: it is not listed here")
        if halt.end <= halt.start:
            raise ValueError(f"halt of {halt.symbol} ends before it starts")
    return Market(market.seed, market.instruments, halts)
