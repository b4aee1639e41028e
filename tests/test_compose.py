"""docker-compose.yml, Dockerfile and what belongs to them, as far as no Docker is needed to see it."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import yaml
from conftest import ROOT
from integration_tests.compose.check import DISTURBED, ONCE, PORTS, wait_for_lake
from integration_tests.compose.images import named_images
from integration_tests.compose.stack import Stack
from integration_tests.compose.verify_commands import commands, expectation
from integration_tests.src.docs.shell import blocks_of
from tests.commands import run_here

from extract_process.venues import venue_named
from status_page.processes import parse_targets

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]
EXTRACTORS = [name for name in OURS if "extract_process." in str(SERVICES[name].get("command"))]


def test_there_are_services_to_look_at() -> None:
    assert len(EXTRACTORS) > 1
    assert len(OURS) > len(EXTRACTORS)
    assert len(SERVICES) > len(OURS)


def test_every_service_listens_on_this_machine_only() -> None:
    ports = [(name, port) for name, service in SERVICES.items() for port in service.get("ports", [])]
    assert ports
    assert [(name, port) for name, port in ports if not re.fullmatch(r"127\.0\.0\.1:\$\{[A-Z_]+:-\d+\}:\d+", port)] == []


def test_every_image_is_one_of_a_kind() -> None:
    images = {*named_images().values(), "tickhouse:0.1.0"}
    assert {re.sub(r"^\$\{\w+:-(.+)\}$", r"\1", service["image"]) for service in SERVICES.values()} < images
    moving = {
        image for image in images if not re.search(r"\d+\.\d+\.\d+|RELEASE\.\d{4}-", image.partition("@")[0].rpartition(":")[2])
    }
    assert moving == set(), "a tag that moves is another image next year"


def test_every_service_has_a_limit_a_policy_and_logs_that_end() -> None:
    wrong = {
        name: service
        for name, service in SERVICES.items()
        if service["mem_limit"][-1] not in "mg"
        or "max-size" not in service["logging"]["options"]
        or not service["restart"].startswith("on-failure" if name in ONCE else "unless-stopped")
        or service["init"] is not True  # kill -9 inside must end the container, whatever the process is
    }
    assert wrong == {}


def test_our_processes_have_no_rights_they_do_not_need() -> None:
    least = {"read_only": True, "cap_drop": ["ALL"], "tmpfs": ["/tmp"], "security_opt": ["no-new-privileges:true"]}
    rights = {name: {right: SERVICES[name].get(right) for right in least} for name in OURS}
    assert {name: has for name, has in rights.items() if has != least} == {}


def test_whoever_writes_to_the_lake_writes_its_copy() -> None:
    wrong = [
        name
        for name in OURS
        if not SERVICES[name]["environment"]["LAKE_COPY_DIR"].startswith("/lake/")
        or "lake:/lake" not in SERVICES[name]["volumes"]
    ]
    assert wrong == []


def test_all_of_ours_are_one_image() -> None:
    assert len({SERVICES[name]["image"] for name in OURS}) == 1


def test_every_service_that_stays_is_disturbed_by_the_check() -> None:
    assert set(DISTURBED) == set(SERVICES) - set(ONCE)


def test_every_published_port_is_looked_at_before_the_check() -> None:
    published = {
        match[1]: int(match[2])
        for service in SERVICES.values()
        for port in service.get("ports", [])
        if (match := re.fullmatch(r"127\.0\.0\.1:\$\{([A-Z_]+):-(\d+)\}:\d+", port))
    }
    assert published == PORTS


def test_an_image_that_cannot_be_had_stops_neither_recording_nor_loading_nor_sql() -> None:
    """Without a profile: the images that every service needs are ours, and two that have a replacement."""
    without_profile = {name: service for name, service in SERVICES.items() if "profiles" not in service}
    assert set(without_profile) - set(OURS) == {"localstack", "clickhouse"}
    needed = {
        other
        for service in without_profile.values()
        for other, how in service.get("depends_on", {}).items()
        if how.get("required", True)
    }
    assert needed <= set(without_profile)
    assert {SERVICES[name]["profiles"][0] for name in ("pubsub", "mirror", "minio")} == {"mirror", "console"}


def test_our_own_s3_takes_the_place_of_localstack_as_the_other_services_know_it() -> None:
    replaced = yaml.safe_load((ROOT / "resources" / "docker" / "own-s3.yml").read_text(encoding="utf-8"))["services"]
    assert list(replaced) == ["localstack"]
    service = replaced["localstack"]
    ours = SERVICES["keeper"]
    assert service["build"]["args"]["PYTHON_IMAGE"] == ours["build"]["args"]["PYTHON_IMAGE"]
    requirements = (ROOT / service["build"]["args"]["REQUIREMENTS"]).read_text(encoding="utf-8")
    assert re.search(r"^moto==", requirements, flags=re.MULTILINE)
    assert "/" not in service["image"], "of no registry"
    port = ours["environment"]["AWS_ENDPOINT_URL"].rpartition(":")[2]
    assert service["command"].endswith(f"--port {port}")
    assert f":{port}/" in service["healthcheck"]["test"][-1]


class ComposeTags(yaml.SafeLoader):
    """Compose's own tags: `!override` takes the place of what is extended, `!reset` leaves nothing of it."""


def _override(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node)
    assert isinstance(node, yaml.SequenceNode)
    return loader.construct_sequence(node)


ComposeTags.add_constructor("!override", _override)
ComposeTags.add_constructor("!reset", lambda loader, node: "reset")
MACHINE = ROOT / "resources" / "docker" / "one-of-many.yml"


def test_one_machine_of_many_has_nothing_of_the_stack_on_one_machine() -> None:
    """Rights, limits and health are those of the service it extends; of LocalStack, its copy and its accounts nothing is left."""
    services = yaml.load(MACHINE.read_text(encoding="utf-8"), ComposeTags)["services"]
    for name, service in services.items():
        assert service["extends"] == {"file": "../../docker-compose.yml", "service": name}
        assert service["env_file"] == ["${SETTINGS_FILE:-/etc/tickhouse/tickhouse.env}"]
        assert set(service["environment"]) <= {"METRICS_HOST", "METRICS_PORT", "LOG_FORMAT", "SPOOL_DIR", "TMPDIR"}
        assert service["depends_on"] == "reset"
        assert service.get("entrypoint") == ("reset" if name in EXTRACTORS else None)
        assert not any(volume.startswith("lake:") for volume in service["volumes"])
        assert all(port.startswith("${METRICS_ADDRESS:-127.0.0.1}:") for port in service["ports"])
        command, *words = service["command"].removeprefix("tickhouse ").split()
        shown = run_here("tickhouse.cli", command, "--help")
        assert shown.returncode == 0
        assert all(word in shown.stdout for word in words if word.startswith("--"))
    assert set(services) == {"stream", "stream-kucoin", "loader", "transform", "compactor", "healer"}
    ports = [port.split(":")[-2] for service in services.values() for port in service["ports"]]
    assert len(set(ports)) == len(services)
    told = MACHINE.read_text(encoding="utf-8").partition("name:")[0]
    assert {profile for service in services.values() for profile in service["profiles"] if profile not in told} == set()


def test_a_further_recorder_of_the_docs_is_one_of_ours_with_another_command() -> None:
    (block,) = blocks_of(ROOT / "docs" / "docker.md", "yaml")
    ((name, service),) = yaml.safe_load(block)["services"].items()
    assert name not in SERVICES
    assert service["extends"] == {"file": "docker-compose.yml", "service": "stream"}
    module, *words = service["command"].removeprefix("python -m ").split()
    assert SERVICES["stream"]["command"].startswith(f"python -m {module} ")
    venue = venue_named(words[words.index("--venue") + 1])
    assert {channel for word, channel in pairwise(words) if word == "--channel"} <= set(venue.channels)


def test_the_page_polls_our_processes_and_those_that_env_names() -> None:
    *ours, more = SERVICES["status"]["environment"]["STATUS_TARGETS"].split()
    assert more == "${STATUS_MORE_TARGETS:-}"
    hosts = {address.removeprefix("http://").removesuffix(":9100") for address in parse_targets(" ".join(ours)).values()}
    assert hosts == {name for name in OURS if SERVICES[name].get("healthcheck", {}).get("test", [""])[-1] == "9100"}
    docs, example = ((ROOT / page).read_text(encoding="utf-8") for page in ("docs/docker.md", ".env.example"))
    (line,) = re.findall(r"^    STATUS_MORE_TARGETS=(.+)$", docs, flags=re.MULTILINE)
    ((name, address),) = parse_targets(line).items()
    (block,) = blocks_of(ROOT / "docs" / "docker.md", "yaml")
    assert [name] == list(yaml.safe_load(block)["services"])
    assert address == f"http://{name}:9100"
    assert f"# STATUS_MORE_TARGETS={line}\n" in example


def test_every_extractor_asks_the_lake_which_exchange_it_is_of() -> None:
    wrong = [
        name
        for name in EXTRACTORS
        if SERVICES[name].get("entrypoint") != ["/app/resources/docker/from-venue"]
        or SERVICES[name].get("extends") != {"file": "resources/docker/venues.yml", "service": "venues"}
        or SERVICES[name].get("depends_on", {}).get("keeper") != {"condition": "service_healthy"}
    ]
    assert wrong == []


def test_images_are_named_by_digest_beside_their_tag() -> None:
    """All that whoever records and loads cannot do without. Of the others no digest is known for sure."""
    pinned = {name for name, image in named_images().items() if re.search(r":[\w.-]+@sha256:[0-9a-f]{64}$", image)}
    assert pinned == {"PYTHON_IMAGE", "LOCALSTACK_IMAGE", "CLICKHOUSE_IMAGE"}
    assert f"ARG PYTHON_IMAGE={named_images()['PYTHON_IMAGE']}\n" in (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_images_of_others_have_no_rights_that_they_do_not_need() -> None:
    """They begin as root, and their entry points become somebody else after they gave the data folders away."""
    others = {name: service for name, service in SERVICES.items() if name not in OURS}
    assert {name: service.get("cap_drop") for name, service in others.items()} == {name: ["ALL"] for name in others}
    assert {tuple(service["security_opt"]) for service in others.values()} == {("no-new-privileges:true",)}
    become = {"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"}
    assert {name for name, service in others.items() if not set(service.get("cap_add", [])) <= become} == set()
    assert [name for name in OURS if "cap_add" in SERVICES[name]] == []


def test_what_comes_into_the_image_is_named() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert {f"!{name}" for names in copied for name in names.split()} == {line for line in lines if line.startswith("!")}


def test_every_command_to_verify_in_the_readme_has_an_expectation() -> None:
    found = [command for command in commands() if not command.startswith("export ")]
    assert len(found) > 10
    for command in found:
        assert expectation(command)


def test_every_configuration_of_the_server_is_xml_with_its_root() -> None:
    roots = {path.name: ET.parse(path).getroot().tag for path in (ROOT / "resources" / "clickhouse").rglob("*.xml")}
    assert set(roots.values()) == {"clickhouse"}, roots


def test_people_read_with_a_user_that_can_only_read() -> None:
    reader = ET.parse(ROOT / "resources" / "clickhouse" / "users.d" / "reader.xml").getroot()
    assert [query.text for query in reader.findall("users/reader/grants/query")] == ["GRANT SELECT, SHOW ON *.*"]
    assert reader.findtext("profiles/reader/readonly") == "2"


def claim(lake: Path, origin: str) -> subprocess.CompletedProcess[str]:
    script = (ROOT / "resources" / "docker" / "claim-lake").read_text(encoding="utf-8").replace("/lake/", f"{lake}/")
    return subprocess.run(
        ["sh", "-c", script, "claim-lake", origin, "echo", "started"], capture_output=True, text=True, timeout=10
    )


def test_a_lake_has_one_origin_for_ever(tmp_path: Path) -> None:
    assert [claim(tmp_path, "simulated").stdout for _ in range(2)] == ["started\n", "started\n"]
    refused = claim(tmp_path, "live")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "this lake holds simulated data" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["ORIGIN"]


def test_the_development_container_is_json_with_remarks() -> None:
    text = (ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8")
    assert json.loads(re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE))["name"] == "tickhouse"


def test_localstack_gets_the_hook_that_keeps_bodies_out_of_memory() -> None:
    service = SERVICES["localstack"]
    assert service["volumes"] == ["./resources/localstack:/etc/localstack/init/start.d:ro"]
    assert ":-localstack/localstack:4.14.0@" in service["image"], "the hook hangs on the inside of this version: look at it first"
    assert [path.name for path in (ROOT / "resources" / "localstack").glob("*.py")] == ["objects_on_disk.py"]


class SlowKeeper(Stack):
    """The keeper says its word at the third look, and only then the objects are there."""

    def __init__(self) -> None:
        super().__init__("nowhere", (), {"CLICKHOUSE_USERNAME": "", "CLICKHOUSE_PASSWORD": ""})
        self.looks = 0
        self.allowed: dict[str, float] = {}

    def compose(self, *words: str, timeout: float = 600.0) -> str:
        if words[0] == "logs":
            self.looks += 1
            return "the lake is whole\n" * (1 + (self.looks >= 3))
        return json.dumps({"Contents": [{"Key": "a", "ETag": "1"}] if self.looks >= 3 else []})

    def wait_for(self, what: str, is_so: Callable[[], bool], seconds: float = 120.0) -> float:
        self.allowed[what] = seconds
        return next(float(tries) for tries in range(10) if is_so())


def test_after_a_restart_of_localstack_the_check_waits_for_the_keepers_word() -> None:
    """A busy machine took longer to upload all objects again than a wait for the objects alone allowed."""
    stack = SlowKeeper()
    wait_for_lake(stack, {"a": "1"}, 1)
    assert stack.looks == 3
    assert stack.allowed["the keeper says that the lake is whole"] >= 1_200
