"""`make compose-check`: the simulated profile of docker-compose.yml from nothing to nothing, and what must hold in between.

Up, rows and objects, the commands of docs/docker.md, restart and kill -9 of every service, down and up again: nothing lost,
nothing doubled, nothing fetched or loaded twice. Needs Docker with Compose 2.20 or newer, and no internet. Exit 1 with what
failed, 3 where the images that stand in for those of a registry cannot be built, so that nothing was tried.
"""

import argparse
import json
import os
import socket
import sys
import time
from functools import partial

from integration_tests.compose.accounts import continuity, expect, folders_on_the_console, ledger, objects
from integration_tests.compose.images import ImagesMissing, image_facts, prepare_images, stand_in_images
from integration_tests.compose.stack import ROOT, CheckFailed, Stack, fail, say
from integration_tests.compose.verify_commands import run_verify_commands

PROJECT = "tickhouse-check"
IMAGES_MISSING = 3
VARIABLES = {
    "CLICKHOUSE_USERNAME": "tickhouse",
    "CLICKHOUSE_PASSWORD": "tickhouse",
    "CLICKHOUSE_DATABASE": "crypto",
    "S3_BUCKET": "crypto",
    "KLINES_OPTIONS": "--symbol BTCUSDT --symbol ETHUSDT --start 2024-01-01 --end 2024-03-01",
    "STREAM_OPTIONS": "--batch-seconds 2",
    "GOOGLE_CLOUD_PROJECT": "tickhouse-local",
    "STATUS_USERNAME": "tickhouse",  # the stand-in of ClickHouse has one account
    "STATUS_PASSWORD": "tickhouse",
}
KLINES = 2 * 60 * 24 * 60  # two symbols, 60 days of minutes
KEEPER_SECONDS = 1_200.0
"""It uploads thousands of objects one by one."""

ONCE = ("provision", "klines")
DISTURBED = (
    "status",
    "transform",
    "mirror",
    "loader",
    "compactor",
    "healer",
    "stream",
    "stream-kucoin",
    "keeper",
    "pubsub",
    "minio",
    "clickhouse",
    "localstack",
    "exchange",
)
PORTS = {
    "LOCALSTACK_PORT": 4566,
    "CLICKHOUSE_HTTP_PORT": 8123,
    "PUBSUB_PORT": 8085,
    "MINIO_CONSOLE_PORT": 9001,
    "STATUS_PORT": 8080,
}


def main() -> None:
    """Runs it all; whatever happens the project is taken down, with its volumes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the stack running at the end, or where it failed")
    options = parser.parse_args()
    began = time.monotonic()
    variables = VARIABLES | {name: str(port) for name, port in PORTS.items()} | stand_in_images()
    stack = Stack(PROJECT, ("simulated", "mirror", "console"), variables)
    try:
        stack.compose("down", "--volumes", "--remove-orphans")
        refuse_taken_ports()
        check_other_files(stack)
        prepare_images(stack)
        began_up = time.monotonic()
        check_coming_up(stack)
        check_image(stack)
        run_verify_commands(stack)
        check_scaling(stack)
        check_disturbances(stack)
        check_healer(stack)
        check_accounts(stack)
        check_down_and_up(stack)
        check_origin(stack)
        say(f"all of it in {time.monotonic() - began_up:.0f} s, images prepared in {began_up - began:.0f} s")
    except ImagesMissing as error:
        fail(error)
        sys.exit(IMAGES_MISSING)
    except (CheckFailed, KeyboardInterrupt) as error:
        fail(error)
        fail(CheckFailed(stack.compose("logs", "--no-color", "--tail", "15")[-12000:]))
        sys.exit(1)
    finally:
        if not options.keep:
            stack.compose("down", "--volumes", "--remove-orphans")
            say("taken down")


def check_other_files(stack: Stack) -> None:
    """Compose takes the files for one machine of several, and with an S3 of our own, with all their profiles."""
    settings = [f"SETTINGS_FILE={os.devnull}", "SHARD=2", "SHARDS=4"]
    for files in (["resources/docker/one-of-many.yml"], ["docker-compose.yml", "resources/docker/own-s3.yml"]):
        named = [word for file in files for word in ("--file", str(ROOT / file))]
        stack.run(["env", *settings, "docker", "compose", *named, "--profile", "*", "config", "--quiet"])
    say("the other Compose files are taken")


def refuse_taken_ports() -> None:
    """Another stack on the same ports would answer in place of this one."""
    for port in PORTS.values():
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                raise CheckFailed(f"port {port} of 127.0.0.1 is taken: end what listens there (`make down`?)")


def check_coming_up(stack: Stack) -> None:
    began = time.monotonic()
    stack.compose("up", "--build", "--detach", "--quiet-pull")
    say(f"up in {time.monotonic() - began:.0f} s, the build included")
    stack.wait_for("all services are well", lambda: stack.is_well(*ONCE))
    for view in ("trades", "depth_diffs"):
        stack.wait_for(f"rows in {view}", lambda view=view: stack.number(f"select count() from {view}") > 0)  # type: ignore[misc]
        seen = stack.number(f"select count() from {view}")
        grown = stack.wait_for(f"{view} grows", lambda: stack.number(f"select count() from {view}") > seen)  # noqa: B023
        expect(True, f"{view} grows over HTTP: {seen} rows, more after {grown:.1f} s")
    stack.wait_for("all klines are loaded", lambda: stack.number("select count() from klines") == KLINES)
    expect(True, f"all {KLINES:,} klines of two months are in klines, {time.monotonic() - began:.0f} s after up")
    hooks = json.loads(stack.execute("localstack", "curl", "-sf", "http://localhost:4566/_localstack/init"))
    states = {script["name"]: script["state"] for script in hooks["scripts"]}
    expect(states == {"objects_on_disk.py": "SUCCESSFUL"}, f"LocalStack took its hook: {states}")
    found = objects(stack)
    folders = sorted({key.split("/")[1] for key in found if key.startswith("data_sources/")})
    expect(
        {"klines_pricing", "trades", "depth_diffs"} <= set(folders), f"{len(found)} objects in the bucket: {', '.join(folders)}"
    )
    shown = folders_on_the_console(PORTS["MINIO_CONSOLE_PORT"])
    expect({f"data_sources/{folder}/" for folder in folders} <= set(shown), "the console shows the same folders")


def check_image(stack: Stack) -> None:
    facts = image_facts(stack)
    expect(facts.megabytes < 700, f"the image has {facts.megabytes} MB")
    for service in ("stream", "loader", "status", "keeper"):
        uid = stack.execute(service, "id", "-u").strip()
        wrote = stack.execute(service, "sh", "-c", "touch /app/x /x 2>/dev/null && echo yes || echo no").strip()
        expect((uid, wrote) == ("10001", "no"), f"{service} runs as user {uid} and cannot write to its root")
    tools = stack.execute("loader", "sh", "-c", "command -v gcc cc make pip pip3 git curl; true").split()
    expect(tools == [], "no compiler, pip, git or curl in the image")


def check_scaling(stack: Stack) -> None:
    """Three loaders on the same queues; the accounts at the end say whether they did the same work twice."""
    stack.compose("up", "--detach", "--no-recreate", "--scale", "loader=3", "loader")
    loaders = len(stack.compose("ps", "--quiet", "loader").split())
    check_flow(stack)
    expect(loaders == 3, "three loaders share the queues")
    stack.compose("up", "--detach", "--no-recreate", "--scale", "loader=1", "loader")


def check_disturbances(stack: Stack) -> None:
    """After each of them data recorded after it must arrive in the warehouse, and all services be well."""
    for service in DISTURBED:
        for how in ("restart", "kill -9"):
            lake = objects(stack) if service == "localstack" else {}
            said = keepers_words(stack)
            began = time.monotonic()
            if how == "restart":
                stack.compose("restart", service)
            else:
                stack.kill(service)
            check_flow(stack)
            expect(True, f"{how} {service}: trades recorded after it were loaded {time.monotonic() - began:.0f} s after it began")
            if lake:
                wait_for_lake(stack, lake, said)


def check_healer(stack: Stack) -> None:
    """It has looked at the gaps of this lake since its last kill, and a stop ends it cleanly."""
    ask = "import urllib.request as r; print(r.urlopen('http://localhost:9100/metrics', timeout=5).read().decode())"

    def has_passed() -> bool:
        figures = stack.execute("healer", "python", "-c", ask).splitlines()
        return any(line.startswith("tickhouse_healer_passes_total") and not line.endswith(" 0.0") for line in figures)

    stack.wait_for("the healer has looked at all gaps", has_passed)
    stack.compose("stop", "healer")
    code = stack.services()["healer"]["ExitCode"]
    expect(code == 0, f"healer: a pass came to its end, and on SIGTERM it ended with {code}")
    stack.compose("start", "healer")


def keepers_words(stack: Stack) -> int:
    """How many times the keeper has said that the lake has again all that its copy has."""
    return stack.compose("logs", "--no-log-prefix", "keeper").count("the lake is whole")


def wait_for_lake(stack: Stack, lake: dict[str, str], said: int) -> None:
    """Until the keeper has said so once more than `said` times: how long it takes follows from what was recorded and from
    this machine. Then it must be so."""
    stack.wait_for("the keeper says that the lake is whole", lambda: keepers_words(stack) > said, KEEPER_SECONDS)
    again = f"all {len(lake)} objects are in the bucket again, with the same etags"
    stack.wait_for(again, partial(_has_all, stack, lake))
    expect(True, again)


def _has_all(stack: Stack, lake: dict[str, str]) -> bool:
    return lake.items() <= objects(stack).items()


def _loadable(lake: dict[str, str]) -> set[str]:
    return {key for key in lake if key.startswith("data_sources/") and key.endswith(".parquet")}


def _loaded(stack: Stack) -> set[str]:
    return {name.split()[0] for name, (status, _) in ledger(stack).items() if status == "loaded"}


def check_flow(stack: Stack) -> None:
    instant = time.time_ns() // 1000
    fresh = f"select count() from trades where toUnixTimestamp64Micro(receipt_time) > {instant}"
    stack.wait_for("new trades arrive", lambda: stack.number(fresh) > 0)
    stack.wait_for("all services are well", lambda: stack.is_well(*ONCE))


def check_accounts(stack: Stack) -> None:
    """Nothing lost, nothing doubled: stops recording first, so that there is an end to count to."""
    ready = "import urllib.request as r; print(r.urlopen('http://localhost:9100/readyz', timeout=5).status)"
    stack.wait_for("the mirror is connected again", lambda: bool(stack.execute("mirror", "python", "-c", ready)))
    # longer than the 10 s between two snapshots: the one of the reconnect may have just gone
    proof = ("/app/resources/docker/from-venue", "tickhouse", "mirror-check", "--symbol", "BTCUSDT", "--duration", "15")
    stack.execute("mirror", *proof)
    expect(True, "mirror-check: the mirrored book equals the exchange's")
    stack.compose("stop", "mirror", "stream", "stream-kucoin")
    audited = stack.wait_for("the audit finds everything loaded", lambda: bool(stack.execute("loader", *AUDIT)))
    expect(True, f"tickhouse audit --footers: every object is in bronze once, value for value ({audited:.0f} s)")
    lake = objects(stack)
    stack.wait_for("young objects, which the audit allows to wait, are loaded", lambda: _loadable(lake) <= _loaded(stack))
    orphans = _loaded(stack) - lake.keys()
    expect(not orphans, f"every loaded object is one of the {len(lake)} in the bucket")
    for channel in ("trades", "depth"):
        found = continuity(stack, channel)
        claim = (
            f"{channel}: {found.rows} rows, {found.doubled} doubled; {found.holes} holes of {found.missing_ids} ids, "
            f"{found.unexplained_ids} of them without a gap {', '.join(found.unexplained_holes)}"
        )
        expect(found.rows > 0 and found.doubled == 0 and found.unexplained_ids == 0, claim)
    expect(stack.number("select count() from klines") == KLINES, f"klines: still {KLINES:,} rows")
    built = stack.number("select count() from gold_ohlcv_1m")
    expect(built >= KLINES, f"gold_ohlcv_1m has {built:,} rows")


AUDIT = ("tickhouse", "audit", "--footers")


def check_down_and_up(stack: Stack) -> None:
    before, loaded = objects(stack), ledger(stack)
    rows = {view: stack.number(f"select count() from bronze_{view}") for view in ("klines", "trades", "depth_diffs")}
    stack.compose("down")
    began = time.monotonic()
    stack.compose("up", "--detach", "--quiet-pull")
    stack.wait_for("all services are well", lambda: stack.is_well(*ONCE))
    say(f"down, and up again in {time.monotonic() - began:.0f} s")
    wait_for_lake(stack, before, 0)  # what is healthy has its klines back, and the rest comes
    asked = [line for line in stack.compose("logs", "--no-log-prefix", "klines").splitlines() if "klines requests" in line]
    expect(len(asked) == 1 and asked[0].split()[-1] == "0", "the backfill asked the exchange for no kline again")
    check_flow(stack)
    stack.compose("stop", "mirror", "stream", "stream-kucoin")
    stack.wait_for("the audit finds everything loaded", lambda: bool(stack.execute("loader", *AUDIT)))
    now = ledger(stack)
    expect(
        {name: now.get(name) for name in loaded} == loaded, f"none of the {len(loaded)} objects loaded before was loaded again"
    )
    for view, count in rows.items():
        older = f"select count() from bronze_{view} where object_key in (select key from ops_loaded_objects final)"
        more = stack.number(f"select count() from bronze_{view}")
        expect(more >= count and stack.number(older) == more, f"bronze_{view}: {count:,} rows before, {more:,} now")


def check_origin(stack: Stack) -> None:
    """Without the profile the same volumes would get real prices beside simulated ones."""
    stack.compose("stop", "exchange")
    try:
        stack.compose("run", "--rm", "--no-deps", "-T", "provision")
    except CheckFailed as refusal:
        expect("this lake holds simulated data" in str(refusal), "live data is refused on a lake of simulated data")
    else:
        raise CheckFailed("a lake of simulated data let itself be used for live data")


if __name__ == "__main__":
    main()
