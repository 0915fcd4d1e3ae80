"""What an option of the language is: one description, which everything that knows options is fed by.

    parser, renderer      spec.py
    the kernel's engine   to_kernel, from_kernel: kernel/netem_message.py; since: what is said of an older one
    the userspace engine  kernel_alone: what model.py refuses it with; else the model has its step
    docs/netem.md         forms: the rows of its table
    expected shares       counted: which counter says how often it acted, and so which share is expected

The recipe for the next one is in docs/architecture.md, "How to add an impairment option".
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from .spec_words import Words

Fields: TypeAlias = dict[str, Any]  # values of a spec, by the names of its fields


def _nothing(_: Any) -> dict[Any, Any]:
    return {}


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes:
        word: what it begins with.
        forms: each form of it, and what it does.
        example: a spec in which it acts, also on small packets that are a millisecond apart.
        fields: the dataclass of what a spec keeps of it.
        parse: reads what follows its word.
        render: returns its words; empty where a spec does not have it.
        to_kernel: returns the attributes of the kernel's netem that it is, by number. All of them, always:
            what a message does not mention, netem_change() leaves as it was.
        from_kernel: returns the fields that attributes of a dump show; those that are left out stay as they
            are in the structure in front of them.
        counted: which of the counters says how often it acted; empty: it only changes when packets leave.
        kernel_alone: why the userspace engine refuses it, and what to do; empty: it does not.
        since: the first version of Linux whose netem has it; empty: all have.
        older_words: by which tc knows it, too.
    """

    word: str
    forms: tuple[tuple[str, str], ...]
    example: str
    fields: type
    parse: Callable[[Words], Fields]
    render: Callable[[Any], str]
    to_kernel: Callable[[Any], dict[int, bytes]] = _nothing
    from_kernel: Callable[[Mapping[int, bytes]], Fields] = _nothing
    counted: str = ""
    kernel_alone: str = ""
    since: str = ""
    older_words: tuple[str, ...] = ()
