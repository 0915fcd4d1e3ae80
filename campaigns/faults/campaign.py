"""The fault matrix: what is broken on purpose, and what holds all the same."""

import os
import platform
from contextlib import closing
from dataclasses import replace

from campaigns.faults import matrix
from campaigns.faults.outcome import VERSION
from campaigns.faults.page import PART
from campaigns.outcome import Data
from campaigns.runner import Campaign, Run
from socketlab.hosts.docker.compose_project import ComposeProject


def carry_out(run: Run) -> None:
    """Try each fault that was chosen, over each protocol that was chosen for it."""
    with closing(ComposeProject()) as lab:
        run.facts |= lab.machine() | {"python": platform.python_version(), "root": os.geteuid() == 0}
        run.facts["load_average"] = round(os.getloadavg()[2])
    faults = [
        replace(fault, protocols=protocols)
        for fault in matrix.FAULTS
        if (protocols := tuple(each for each in fault.protocols if f"{fault.name} {each}" in run.only))
    ]
    matrix.run(faults, lambda cell: run.report(matrix.result(cell)))


def document(run: Run) -> Data:
    """Return the cells, in the order of the matrix."""
    cells = run.with_others("cells", lambda cell: f"{cell['fault']} {cell['protocol']}")
    return {
        "version": VERSION,
        "at": run.at,
        "machine": run.facts,
        "cells": sorted(cells, key=lambda cell: matrix.place(cell["fault"], cell["protocol"])),
    }


CAMPAIGN = Campaign(
    "faults",
    "What is broken on purpose, and what holds.",
    {f"{fault.name} {each}": fault.group for fault in matrix.FAULTS for each in fault.protocols},
    carry_out,
    document,
    page=PART,
)
