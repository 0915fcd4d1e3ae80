"""The engine `userspace`: packets queue to this program, and the model decides (NFQUEUE).

userspace_engine.py  the ways of a packet, as a drawing; apply, clear, counters, verify, the loop
flow.py              one direction: taken from the queue, verdicts, and the books
egress_flow.py       its delay line: dropped, and sent again when due
ingress_flow.py      its delay line: held by the kernel until due
whole_packets.py     packets that the queue does not copy whole
path_probes.py       packets of our own, which show that the way leads through the queue
nfqueue.py           the queue: reading, verdicts
ip_packets.py        fragments, damage
raw_sender.py        sending
queue_rules.py       the firewall's rules, as text
rules.py             set, and read back
raw_table.py         the command that works here; the table left as it was found
userspace_probe.py   whether this engine can work here
"""

from .userspace_engine import UserspaceEngine
from .userspace_probe import probe, sweep

__all__ = ["UserspaceEngine", "probe", "sweep"]
