"""One engine of the sidecar in a process of its own, told what to do by lines of JSON.

    python -m tests.engine userspace INTERFACE       in the folder services/netem

It begins with a line {"ready": true}. Each line of stdin is a request, and is answered by one of stdout:

    {"apply": "delay 10ms", "directions": "egress", "traffic": "udp"}    {}
    {"clear": true}                                                      {}
    {"verify": true}                                                     {}, or {"failure": "..."}
    {"counters": true}                                                   {"egress": {"packets": 1, ...}}

At the end of stdin, or on SIGTERM, it leaves a clean network behind.
"""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from engine import Engine
from lab.failures import Failure, run
from netem_impairment import Directions, Impairment, parse, parse_traffic
from userspace import UserspaceEngine

ENGINES: dict[str, Callable[[str], Engine]] = {"userspace": UserspaceEngine}


def answer(engine: Engine, request: dict[str, Any]) -> dict[str, Any]:
    """Do what a request says, and return the answer."""
    try:
        if "apply" in request:
            engine.apply(
                Impairment(
                    parse(request["apply"]),
                    Directions(request.get("directions", "both")),
                    parse_traffic(request.get("traffic", "all")),
                )
            )
        elif "clear" in request:
            engine.clear()
        elif "verify" in request:
            engine.verify()
        else:
            return {direction.value: asdict(counts) for direction, counts in engine.counters().items()}
    except Failure as failure:
        return {"failure": str(failure)}
    return {}


def main() -> int:
    """Serve until stdin ends."""
    name, interface = sys.argv[1:]
    engine = ENGINES[name](interface)
    unread = b""

    def hear() -> None:
        nonlocal unread
        data = os.read(0, 65_536)
        if not data:
            raise SystemExit(0)
        *lines, unread = (unread + data).split(b"\n")
        for line in lines:
            print(json.dumps(answer(engine, json.loads(line)), allow_nan=False), flush=True)

    try:
        print(json.dumps({"ready": True}, allow_nan=False), flush=True)
        engine.serve({0: hear})
    finally:
        engine.clear()
        engine.close()
    return 0


if __name__ == "__main__":
    run(main)
