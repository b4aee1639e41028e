from simulated_exchange.server.tally import KLINES_LOG_SIZE, Cause, Tally


def test_the_log_of_klines_requests_is_bounded_and_the_count_is_not() -> None:
    tally = Tally()
    for number in range(KLINES_LOG_SIZE + 5):
        tally.on_answer("/api/v3/klines", 200)
        tally.on_klines({"symbol": "BTCUSDT", "interval": "1m", "startTime": str(number)}, 200)
    report = tally.report()
    assert len(report["klines_log"]) == KLINES_LOG_SIZE
    assert report["klines_log"][0]["startTime"] == 5
    assert report["klines_requests"] == KLINES_LOG_SIZE + 5


def test_weight_is_kept_per_clock_minute() -> None:
    tally = Tally()
    for weight, now in ((2, 60_000), (20, 119_999), (5, 120_000)):
        tally.on_weight(weight, now)
    assert tally.report()["weight"] == {"total": 27, "per_minute": {"60000": 22, "120000": 5}}


def test_refusals_say_who_caused_them() -> None:
    tally = Tally()
    tally.on_refusal(429, Cause.LIMIT)
    tally.on_refusal(418, Cause.INJECTED)
    assert tally.report()["refused"] == {"429": {"limiter": 1, "injected": 0}, "418": {"limiter": 0, "injected": 1}}


def test_times_that_are_no_numbers_are_not_kept() -> None:
    tally = Tally()
    tally.on_klines({"symbol": "X", "startTime": "9" * 5000, "endTime": "-1"}, 400)
    (logged,) = tally.report()["klines_log"]
    assert (logged["startTime"], logged["endTime"]) == (None, None)
