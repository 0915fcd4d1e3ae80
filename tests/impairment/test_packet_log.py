"""What the capture sidecar does inside a host, beside another one, between two network namespaces."""

import os
import shutil
import subprocess
import sys

import pytest
from netem_impairment import leases

from socketlab.checkout import ROOT
from tests.impairment.hosts import Host
from tests.namespaces import joined

INSIDE = str(ROOT / "services" / "capture" / "inside.py")


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0 or shutil.which("ip") is None,
    reason="network namespaces need Linux, root and the command ip (package iproute2)",
)
def test_second_log_of_packets_is_refused_and_leaves_the_firsts_rules() -> None:
    with joined(leases.take(), Host) as (near, _far):  # a network of its own: the bare tables stay
        hold = near.command(sys.executable, INSIDE, "hold")
        first = subprocess.Popen(hold, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            assert first.stdout is not None
            assert first.stdout.readline() == b"ready\n"
            rules = near.firewall()
            assert "NFLOG" in rules
            second = subprocess.run(hold, input=b"", capture_output=True, check=False)
            refusal = b"inside: another program logs the packets of this network already, expected none: "
            assert (second.returncode, second.stderr.startswith(refusal)) == (1, True), second
            assert near.firewall() == rules
        finally:
            first.communicate()
        assert (first.returncode, "capture" in near.firewall()) == (0, False)
