"""Asking the engine: does it answer, and if not, why not; which images it has."""

import json
import os
import re
from dataclasses import dataclass
from enum import Enum

from setup.shell import run

# A healthy engine answers within 50 ms, one that starts a hundred containers within seconds.
PATIENCE_S = 15.0


class Reply(Enum):
    """What came of asking the engine for its version."""

    ANSWERS = "answers"
    NO_CLIENT = "no client"
    UNREACHABLE = "unreachable"
    DENIED = "denied"
    UNKNOWN = "unknown"


COMPLAINTS = {
    Reply.DENIED: r"permission denied while trying to connect",
    Reply.UNREACHABLE: r"cannot connect to|failed to connect to|error during connect",
}


@dataclass(frozen=True)
class Answer:
    """The engine's answer, or the reason why there is none.

    Attributes:
        reply: which of the cases it is.
        version: the engine's version, when it answers.
        api: the version of its API, when it answers.
        reason: the client's own words, when it does not.
    """

    reply: Reply
    version: str = ""
    api: str = ""
    reason: str = ""


def ask() -> Answer:
    """Ask the engine for its version."""
    outcome = run("docker", "version", "--format", "{{json .}}", timeout_s=PATIENCE_S)
    if outcome.missing:
        return Answer(Reply.NO_CLIENT, reason="there is no `docker` on the PATH")
    if not outcome.ok:
        # The client tells these cases apart in words alone; before them it may warn of its own configuration.
        lines = [line for line in outcome.err.splitlines() if line and not line.startswith("WARNING")]
        reason = lines[0] if lines else f"`docker version` ended with {outcome.code}"
        for reply, words in COMPLAINTS.items():
            if re.search(words, reason, re.IGNORECASE):
                return Answer(reply, reason=reason)
        return Answer(Reply.UNKNOWN, reason=reason)
    try:
        server = json.loads(outcome.out)["Server"]
        return Answer(Reply.ANSWERS, version=server["Version"], api=server["ApiVersion"])
    except (ValueError, KeyError, TypeError):
        return Answer(Reply.UNKNOWN, reason=f"`docker version` printed {outcome.out[:100]!r}, expected JSON")


def chosen_elsewhere() -> str:
    """Return what directs the client to another engine than this machine's own, or an empty string."""
    for variable in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        value = os.environ.get(variable, "")
        if value not in {"", "default"}:
            return f"{variable}={value}"
    outcome = run("docker", "context", "show", timeout_s=PATIENCE_S)
    return f"the docker context `{outcome.out}`" if outcome.ok and outcome.out not in {"", "default"} else ""


def endpoint() -> str:
    """Return the address of the engine the client talks to, empty when it cannot be told."""
    host = os.environ.get("DOCKER_HOST", "")
    if host:
        return host
    command = ("docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
    outcome = run(*command, timeout_s=PATIENCE_S)
    return outcome.out if outcome.ok else ""


def has_image(name: str) -> bool | None:
    """Tell whether the engine has an image; None when it cannot be told."""
    outcome = run("docker", "image", "inspect", "--format", "{{.Id}}", name, timeout_s=PATIENCE_S)
    if outcome.ok:
        return True
    return False if "no such image" in outcome.err.lower() else None


def label_of(image: str, name: str) -> str:
    """Return the value of an image's label, empty where it has none or cannot be asked."""
    template = f'{{{{index .Config.Labels "{name}"}}}}'
    outcome = run("docker", "image", "inspect", "--format", template, image, timeout_s=PATIENCE_S)
    return outcome.out if outcome.ok else ""
