#!/usr/bin/env python3
"""The command `netem`: runs the sidecar, and talks to the one that runs.

    netem run [SPEC ...]        impair this host's packets until SIGTERM (what the container does)
    netem show                  what is impaired, by what, and whether it works
    netem set SPEC ...          impair otherwise, from the next packet on
    netem clear                 let the packets pass as if there were no sidecar
    netem stats                 what has been counted
    netem health                exit code 0: packets pass through the impairment, and this machine keeps up
    netem probe                 which engines work here; changes nothing
    netem control               the same for a program: a request in JSON a line of stdin, an answer a line

SPEC is tc-netem(8)'s language: `delay 50ms 10ms loss 10% seed 42`.
"""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

from control import Answer, Refused, ask, relay
from lab.failures import Exit, complain, run
from lab.options import Parser, log_format
from netem_impairment import (
    Counters,
    Directions,
    Impairment,
    Spec,
    SpecError,
    Traffic,
    parse,
    parse_directions,
    parse_traffic,
)

T = TypeVar("T")

ENGINES = ("auto", "kernel", "userspace")  # as engines.py has them; importing it would take its time
SPEC_HELP = "in tc-netem(8)'s language: delay 50ms 10ms loss 10%% seed 42"


def checked(convert: Callable[[str], T]) -> Callable[[str], T]:
    """Return a converter whose refusals argparse prints."""

    def convert_or_refuse(text: str) -> T:
        try:
            return convert(text)
        except SpecError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return convert_or_refuse


def engine(text: str) -> str:
    """Check the name of an engine."""
    if text in ENGINES:
        return text
    raise argparse.ArgumentTypeError(f"expected an engine ({', '.join(ENGINES)}), got {text!r}")


def parser() -> Parser:
    """Return the command line: a command, its options."""
    whole = Parser(prog="netem", description="Impairs the packets of the host whose network it shares.")
    commands = whole.add_subparsers(metavar="COMMAND", dest="command", required=True)

    def command(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text)

    run_ = command("run", "impair this host's packets until SIGTERM")
    run_.add_argument("spec", metavar="SPEC", nargs="*", help=f"{SPEC_HELP} (NETEM; default: nothing)")
    add_which(run_, "NETEM_DIRECTION; default: both", "NETEM_TRAFFIC; default: all")
    run_.add_argument("--engine", metavar="NAME", type=engine, help=f"{', '.join(ENGINES)} (NETEM_ENGINE)")
    run_.add_argument(
        "--interface", metavar="NAME", help="what to impair (NETEM_INTERFACE; default: the only one)"
    )
    set_ = command("set", "impair otherwise, from the next packet on")
    set_.add_argument("spec", metavar="SPEC", nargs="+", help=SPEC_HELP)
    add_which(set_, "default: as before", "default: as before")
    command("clear", "let the packets pass as if there were no sidecar")
    show = command("show", "what is impaired, and by what")
    stats = command("stats", "what has been counted")
    for one in (show, stats):
        one.add_argument("--json", action="store_true", help="as one line of JSON")
    stats.add_argument("--verify", action="store_true", help="check first that packets pass through it")
    command("health", "check that packets pass through the impairment, and that this machine keeps up")
    command("probe", "say which engines work here")
    command("control", "answer requests, a line of JSON each, until standard input ends")
    return whole


def add_which(command: argparse.ArgumentParser, direction: str, traffic: str) -> None:
    """Add the options that say which packets are impaired; the texts say what they are when left out."""
    command.add_argument(
        "--direction",
        metavar="D",
        type=checked(parse_directions),
        help=f"{', '.join(Directions)}, as this host sees it ({direction})",
    )
    command.add_argument(
        "--traffic",
        metavar="T",
        type=checked(parse_traffic),
        help=f"all (but DNS), udp, tcp, icmp, udp:12000, ... ({traffic})",
    )


def start(options: argparse.Namespace, whole: Parser) -> int:
    """Run the sidecar; what the arguments leave out is in the environment."""
    # Only here: the other commands start in half the time without the engines, and the healthcheck is one.
    import sidecar  # noqa: PLC0415

    default = whole.from_environment
    spec = default("NETEM", checked(parse), Spec())
    directions = default("NETEM_DIRECTION", checked(parse_directions), Directions.BOTH)
    traffic = default("NETEM_TRAFFIC", checked(parse_traffic), Traffic())
    return sidecar.run(
        sidecar.Options(
            Impairment(
                parse(" ".join(options.spec)) if options.spec else spec,
                options.direction or directions,
                options.traffic or traffic,
            ),
            engine=options.engine or default("NETEM_ENGINE", engine, "auto"),
            interface=options.interface or default("NETEM_INTERFACE", str, ""),
            log_format=default("LOG_FORMAT", log_format, "text"),
        )
    )


def probe() -> int:
    """Say which engines work here, and if none does, what to do."""
    import engines  # noqa: PLC0415 - as above

    problems = engines.problems()
    words = [f"{name} {f'does not work: {why}' if why else 'works'}" for name, why in problems.items()]
    sys.stdout.write(f"{'; '.join(words)}\n")
    if not all(problems.values()):
        return Exit.OK
    complain(f"netem: {engines.remedy()}")
    return Exit.FAILED


def request(options: argparse.Namespace) -> dict[str, str]:
    """Return what is sent to the sidecar for a command."""
    words = {"command": str(options.command)}
    if options.command == "set":
        words["spec"] = str(parse(" ".join(options.spec)))
        if options.direction is not None:
            words["directions"] = options.direction
        if options.traffic is not None:
            words["traffic"] = str(options.traffic)
    if options.command == "stats" and options.verify:
        words["verify"] = "yes"
    return words


# --- for people


def as_text(command: str, answer: Answer) -> str:
    """Return what a command prints: the engine and why, then a line a direction."""
    if answer["engine"] is None:
        lines = [f"engine     none: {answer['reason']}"]
    else:
        lines = [f"engine     {answer['engine']} on {answer['interface']} ({answer['reason']})"]
    if answer["impairment"] is None:
        again = " (netem set SPEC begins again)" if answer["engine"] else ""
        lines.append(f"impaired   nothing{again}")
    else:
        traffic = answer["impairment"]["traffic"]
        lines.append(f"traffic    {'all but DNS' if traffic == 'all' else traffic}")
    for direction, found in answer["directions"].items():
        spec = found["spec"] or "nothing"
        lines.append(f"{direction:<9}  {spec}" + (f"   {counted(found)}" if command == "stats" else ""))
    if command == "show":
        problem = answer["problem"]
        lines.append(f"working    {'yes' if problem is None else f'no: {problem}'}")
    if answer.get("idle"):
        lines.append(f"idle       {answer['idle']}")
    return "\n".join(lines)


def counted(found: dict[str, Any]) -> str:
    """Return the counts of one direction in words; what the engine cannot say is left out."""
    packets, dropped = found["packets"], found["dropped"]
    share = f" ({100 * dropped / packets:.2f} %)" if packets and dropped else ""
    words = [f"{packets:,} packets ({found['bytes']:,} bytes)", f"{dropped:,} lost{share}"]
    named = {one.name: one.metadata["words"] for one in fields(Counters) if one.metadata}
    words += [f"{found[key]:,} {name}" for key, name in named.items() if found[key] is not None]
    words += [f"{found['too_long']:,} too long"] if found["too_long"] else []  # what hardly anybody sends
    return ", ".join([*words, f"{found['queued']:,} waiting"])


def main() -> int:
    """Do what the command line says."""
    whole = parser()
    options = whole.parse_args()
    try:
        if options.command == "run":
            return start(options, whole)
        if options.command == "probe":
            return probe()
        if options.command == "control":
            relay(sys.stdin.buffer, sys.stdout.buffer, ask)
            return Exit.OK
        answer = ask(request(options))
    except (Refused, SpecError) as error:
        complain(f"netem: {error}")
        return Exit.USAGE
    if options.command == "health":
        if answer["idle"]:
            complain(f"netem: {answer['idle']}")
        return Exit.OK
    as_json = getattr(options, "json", False)
    sys.stdout.write(
        f"{json.dumps(answer, allow_nan=False) if as_json else as_text(options.command, answer)}\n"
    )
    return Exit.OK


if __name__ == "__main__":
    run(main)
