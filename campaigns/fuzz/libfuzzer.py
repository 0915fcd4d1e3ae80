"""libFuzzer, run for one target in a process of its own, and what it says at its end."""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from campaigns.fuzz.corpus import file_of, parts, unquoted
from campaigns.fuzz.target import Target
from campaigns.paths import ROOT, folders

WHY_NOT = (
    "atheris is not installed: there is one for CPython 3.11 to 3.13 on x86-64 Linux (make fuzz installs it)"
)

MEMORY_MB = 1024  # more is a crash
LONGEST_S = 10  # for one input; more is a crash
LAST_WORDS_S = 120.0  # beyond the time that it was given: to load our modules on a busy machine, and to end


@dataclass(frozen=True)
class Run:
    """What came of fuzzing a target.

    Attributes:
        target: its name.
        executions: inputs tried.
        took_s: seconds, to load the modules included.
        edges: places in our own code that were reached.
        features: places, counted with how often and after what: libFuzzer's measure of what is new.
        corpus: inputs that reach something that no other does, and their bytes together.
        memory_mb: at the most.
        broken: how the contract was broken: the last line of the traceback; empty: it held.
        input: the name of the file with the input that did it.
    """

    target: str
    executions: int
    took_s: float
    edges: int
    features: int
    corpus: int
    corpus_bytes: int
    memory_mb: int
    broken: str = ""
    input: str = ""


def environment() -> dict[str, str]:
    """Return the environment in which our modules are found."""
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *folders()])}


def fuzz(target: Target, corpus: Path, crashes: Path, executions: int, seed: int, seconds: int) -> Run:
    """Try inputs, and add to the corpus those that reach something new."""
    crashes.mkdir(parents=True, exist_ok=True)
    prefix = crashes / f"{target.name}-"
    before = set(crashes.glob(f"{target.name}-*"))
    begun = time.monotonic()
    with dictionary(target) as words:
        said = _run(
            target,
            f"-runs={executions}",
            f"-seed={seed}",
            f"-max_total_time={seconds}",
            f"-max_len={target.longest}",
            f"-rss_limit_mb={MEMORY_MB}",
            f"-timeout={LONGEST_S}",
            f"-artifact_prefix={prefix}",
            "-print_final_stats=1",
            *words,
            str(corpus),
            within_s=seconds + LAST_WORDS_S,
        )
    run = read(target.name, said, time.monotonic() - begun)
    new = sorted(set(crashes.glob(f"{target.name}-*")) - before)
    return Run(**(vars(run) | {"input": new[0].name})) if new else run


@contextmanager
def dictionary(target: Target) -> Iterator[list[str]]:
    """Yield what says where a target's words are; nothing, where it has none."""
    lines, _inputs = parts(file_of(target))
    with tempfile.NamedTemporaryFile("w", encoding="ascii", suffix=".dict") as file:
        file.write(lines)
        file.flush()
        # libFuzzer refuses a dictionary without a word.
        yield [f"-dict={file.name}"] if unquoted(lines) else []


def merge(target: Target, corpus: Path, smallest: Path) -> None:
    """Fill a folder with as few and as short inputs as reach all that a corpus reaches."""
    smallest.mkdir()
    _run(target, "-merge=1", f"-max_len={target.longest}", str(smallest), str(corpus), within_s=600.0)


def _run(target: Target, *arguments: str, within_s: float) -> str:
    command = [sys.executable, "-m", "campaigns.fuzz.child", target.one.__module__, target.name, *arguments]
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=environment(),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=within_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"ERROR: it did not end within {within_s:g} s\n"
    return done.stderr + done.stdout + ("" if done.returncode == 0 else f"\nexit code {done.returncode}\n")


def read(name: str, said: str, took_s: float) -> Run:
    """Return what libFuzzer's last words say."""
    progress = re.findall(
        r"^#\d+\s+\w+\s+cov: (\d+) ft: (\d+) corp: (\d+)/(\d+)(Kb|Mb|b)", said, re.MULTILINE
    )
    edges, features, files, size, unit = progress[-1] if progress else ("0", "0", "0", "0", "b")
    broken = ""
    if found := re.search(r"^(?:==\d+==)? ?ERROR: (.*)$", said, re.MULTILINE):
        raised = re.findall(
            r"^(\w[\w.]*(?:Error|Exception|Failure|Exit|Interrupt)\b.*|error: .*)$", said, re.MULTILINE
        )
        broken = raised[-1] if raised else found[1]
    elif "exit code" in said:
        broken = [line for line in said.splitlines() if line.strip()][-2][:200]
    return Run(
        target=name,
        executions=_figure("number_of_executed_units", said),
        took_s=round(took_s, 1),
        edges=int(edges),
        features=int(features),
        corpus=int(files),
        corpus_bytes=int(size) * {"b": 1, "Kb": 1 << 10, "Mb": 1 << 20}[unit],
        memory_mb=_figure("peak_rss_mb", said),
        broken=broken,
    )


def _figure(name: str, said: str) -> int:
    found = re.search(rf"^stat::{name}:\s+(\d+)", said, re.MULTILINE)
    return int(found[1]) if found else 0
