"""Faults of the commands: Ctrl-C and SIGTERM at every lab, two at once, what an earlier version left."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from campaigns.faults.fault import Fault
from campaigns.faults.outcome import Broken, Seen
from campaigns.faults.scene import RATE, Running, Scene, eventually, expect_code
from campaigns.outcome import Unmeasurable
from socketlab import checkout

ATTEMPTS = 3
MOMENTS = 6  # in the life of a lecture
CLAIM = {"udp": "u3", "tcp": "t1"}
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


def at_start(_scene: Scene, running: Running) -> bool:
    """Tell whether the hosts are started."""
    return any(" up " in line for line in running.children())


def at_run(_scene: Scene, running: Running) -> bool:
    """Tell whether the client is at work."""
    return any(" run " in line for line in running.children())


def at_end(scene: Scene, running: Running) -> bool:
    """Wait until the client has gone: the evidence is gathered then, and the network restored."""
    eventually("the client", lambda: at_run(scene, running) or running.process.poll() is not None, 60)
    eventually("the client's end", lambda: not at_run(scene, running), 60)
    return True


Lab = Callable[[Scene, Running], bool]


def interrupted(lab: Lab, number: signal.Signals, scene: Scene) -> Seen:
    """Interrupt an experiment at a lab."""
    return scene.recover(interrupt(lab, number, scene))


def interrupt(
    lab: Lab, number: signal.Signals, scene: Scene, prepare: Callable[[], None] = lambda: None
) -> Seen:
    """Interrupt an experiment at a lab, and return what was seen of it.

    Args:
        lab: tells whether it is at this lab.
        number: of the signal.
        scene: the lab.
        prepare: is called when the lab is ready, before the experiment begins.
    """
    scene.ready()
    for _attempt in range(ATTEMPTS):
        prepare()
        running = scene.start(count=2 * RATE)
        try:
            eventually(f"the lab {lab.__name__}", partial(lab, scene, running), 60)
            if running.process.poll() is not None:
                continue  # the lab was over before it was seen
            running.interrupt(number)
            pressed = time.monotonic()
            seen = running.end()
        finally:
            running.kill()
        break
    else:
        raise Unmeasurable(f"the lab {lab.__name__} was over before it was seen, {ATTEMPTS} times")
    seen.figures["ended after, in s"] = round(time.monotonic() - pressed, 1)
    # At the very end it may have been over when the signal came.
    expect_code(seen, (CODES[number], 0) if lab is at_end else (CODES[number],))
    if left := running.children():
        raise Broken(f"expected no process to be left, there is {left[0]}", seen)
    return seen


def make_interrupted(number: signal.Signals, scene: Scene) -> Seen:
    """Interrupt `make`. Ctrl-C reaches all that it has started; SIGTERM is for make, which passes it on."""
    # The Makefile has no variable for the project: this is the command that its recipe runs, under make.
    scene.ready()
    rule = " ".join(scene.command(f"lossy-{scene.protocol}", "--count", "500", "--engine", "userspace"))
    running = Running(["make", "--no-print-directory", "--eval", f"under-make: ; @{rule}", "under-make"])
    try:
        eventually("the client", lambda: at_run(scene, running), 60)
        running.interrupt(number)
        pressed = time.monotonic()
        seen = running.end(scene.allowed_s(), ours=False)
    finally:
        running.kill()
    expect_code(seen, (2, -number))
    seen.figures["ended after, in s"] = round(time.monotonic() - pressed, 1)
    return scene.recover(seen)


def two_experiments(scene: Scene) -> Seen:
    """Start a second experiment on a lab that has one."""
    with scene.traffic() as running:
        second = scene.start().end()
        seen = running.end()
    expect_code(second, (1,))
    if "is in use by `socketlab lossy-" not in second.said:
        raise Broken(f"expected to be told who uses the lab, got {second.said!r}", second)
    expect_code(seen, (0,))
    seen.figures["the second ends with"] = f"exit code 1: {second.said}"
    return scene.recover(seen)


def two_lectures(scene: Scene) -> Seen:
    """Start a second lecture while one is shown."""
    project = f"{scene.lab.name}-lecture"
    command = [sys.executable, "-m", "socketlab", "lecture", CLAIM[scene.protocol], "--project", project]
    first = Running(command)
    try:
        eventually("the first lecture's hosts", lambda: scene.everything(project), 60)
        second = Running(command).end()
        seen = first.end()
    finally:
        first.kill()
    expect_code(second, (1,))
    expect_code(seen, (0,))
    seen.figures["the second ends with"] = f"exit code 1: {second.said}"
    if left := scene.everything(project):
        raise Broken(f"expected nothing to be left, there is {', '.join(left)}", seen)
    return seen


def lecture_interrupted(scene: Scene) -> Seen:
    """Interrupt the lecture at moments from its beginning to its end: while hosts are made, and removed."""
    project = f"{scene.lab.name}-lecture"
    command = [sys.executable, "-m", "socketlab", "lecture", CLAIM[scene.protocol], "--project", project]
    usual = Running(command).end()
    assert usual.took_s is not None
    codes: list[str] = []
    for moment in range(1, MOMENTS + 1):
        number = (signal.SIGINT, signal.SIGTERM)[moment % 2]
        running = Running(command)
        try:
            # Not an event: any moment is one.
            with suppress(subprocess.TimeoutExpired):
                running.process.wait(usual.took_s * moment / (MOMENTS + 1))
            if running.process.poll() is None:
                running.interrupt(number)
            seen = running.end()
        finally:
            running.kill()
        # Before it can catch a signal the system ends it.
        expect_code(seen, (CODES[number], -number, 0))
        codes.append(str(seen.exit_code))
        if left := scene.everything(project):
            raise Broken(f"expected nothing to be left, there is {', '.join(left)}", seen)
    usual.figures["then, interrupted, it ends with"] = ", ".join(codes)
    return usual


def two_labs(scene: Scene) -> Seen:
    """Run the same experiment on another lab at the same time."""
    other = Scene(scene.protocol, scene.folder)
    try:
        with scene.traffic() as running, other.traffic() as beside:
            theirs, seen = beside.end(), running.end()
    finally:
        left = other.close()
    for each in (theirs, seen):
        expect_code(each, (0,))
    seen.figures["the other's exit code"] = theirs.exit_code or 0
    if left:
        raise Broken(f"expected nothing to be left of the other lab, there is {', '.join(left)}", seen)
    return scene.recover(seen)


def stale(scene: Scene) -> Seen:
    """Make the lab as an earlier version has: its network has a way out, its server is of another image."""
    scene.ready()
    scene.stop()
    scene.lab.images.build()
    earlier = scene.folder / "earlier.yaml"
    described = {
        "services": {
            "server": {"image": checkout.image("client"), "entrypoint": ["sleep", "600"], "command": []}
        },
        "networks": {
            "lab": {"internal": False, "driver_opts": {"com.docker.network.bridge.inhibit_ipv4": "false"}}
        },
    }
    earlier.write_text(json.dumps(described), encoding="utf-8")
    up = ("--file", str(earlier), "up", "--detach", "--no-deps", "server")
    made = Running(scene.lab.compose(*up))
    if (ended := made.end(ours=False)).exit_code:
        raise Broken(f"the earlier lab could not be made: {ended.said}")
    scene.network().reload()
    if scene.network().attrs["Internal"]:
        raise Broken("expected the earlier lab's network to have a way out: the instrument does not work")
    seen = scene.start(count=20).end()
    expect_code(seen, (0,))
    attributes = scene.network().attrs
    seen.figures["the network is closed"] = str(attributes["Internal"]).lower()
    if not attributes["Internal"]:
        raise Broken("the earlier version's network, which has a way out, is still in use", seen)
    return scene.recover(seen)


STAGES = (
    (at_start, "hosts are started"),
    (at_run, "messages are sent"),
    (at_end, "the evidence is gathered"),
)

FAULTS = (
    *(
        Fault(f"{name} {lab.__name__.replace('_', ' ')}", "interrupt", f"{name} while {words}",
              partial(interrupted, lab, number),
              representative=("udp",) if (number, lab) == (signal.SIGINT, at_run) else ())
        for number, name in ((signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM"))
        for lab, words in STAGES
    ),
    *(
        Fault(f"{name} at make", "interrupt", f"{name} at make, while messages are sent",
              partial(make_interrupted, number))
        for number, name in ((signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM"))
    ),
    Fault("lecture interrupted", "interrupt", f"Ctrl-C and SIGTERM at make lecture, at {MOMENTS} moments",
          lecture_interrupted),
    Fault("two experiments", "two at once", "a second experiment on the same lab", two_experiments,
          representative=("tcp",)),
    Fault("two lectures", "two at once", "make lecture, twice", two_lectures),
    Fault("two labs", "two at once", "the same experiment on two labs", two_labs),
    Fault("stale lab", "stale", "an earlier version's network, with a way out, and another image", stale),
)  # fmt: skip
