"""Where the images come from: a registry, or, where no registry can be reached, stand-ins under the same tags."""

import json
import re
import time
from dataclasses import dataclass

from integration_tests.compose.stack import ROOT, CheckFailed, Stack, say

STAND_INS = ROOT.parent / "shared" / "offline" / "bin" / "build-all.sh"
_VARIABLE = {
    "localstack/localstack": "LOCALSTACK_TAG",
    "clickhouse/clickhouse-server": "CLICKHOUSE_TAG",
    "quay.io/minio/minio": "MINIO_TAG",
    "gcr.io/google.com/cloudsdktool/google-cloud-cli": "PUBSUB_TAG",
}


class ImagesMissing(CheckFailed):
    """There is nothing to run the check with; it says nothing about the stack."""


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """The image of our own processes."""

    megabytes: int
    user: str


def named_images() -> dict[str, str]:
    """The image of each variable in docker-compose.yml, with its tag and, where it has one, its digest."""
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    return dict(re.findall(r"\$\{(\w+_IMAGE):-([^}]+)\}", text))


def stand_in_images() -> dict[str, str]:
    """The variables that name them: a stand-in has the tag, nobody can give it the digest. None where there are none."""
    return {name: image.partition("@")[0] for name, image in named_images().items()} if STAND_INS.exists() else {}


def prepare_images(stack: Stack) -> None:
    """Builds the stand-ins where their folder is beside the checkout; pulls nothing otherwise, `up` does that by itself."""
    if not STAND_INS.exists():
        say(f"images come from their registries: {STAND_INS} is not there")
        return
    began = time.monotonic()
    wanted = set(stack.compose("config", "--images").split())
    tags = {variable: image for image in wanted for name, variable in _VARIABLE.items() if image.startswith(f"{name}:")}
    base = stand_in_images()["PYTHON_IMAGE"]
    version = re.sub(r"^python:(3\.\d+).*$", r"\1", base)
    build = ["env", *(f"{name}={tag}" for name, tag in tags.items()), f"PYTHON_VERSIONS={version}", str(STAND_INS)]
    try:
        stack.run(build, timeout=900)
    except CheckFailed as error:
        raise ImagesMissing(str(error)) from error
    stack.run(["docker", "tag", f"python:{version}-slim-bookworm", base])
    say(f"stand-ins for {len(tags) + 1} images are there after {time.monotonic() - began:.0f} s")


def image_facts(stack: Stack) -> ImageFacts:
    container = stack.compose("ps", "--quiet", "loader").split()[0]
    image = stack.run(["docker", "inspect", "--format", "{{.Image}}", container]).strip()
    found = json.loads(stack.run(["docker", "image", "inspect", image]))[0]
    return ImageFacts(found["Size"] // 1_000_000, found["Config"]["User"])
