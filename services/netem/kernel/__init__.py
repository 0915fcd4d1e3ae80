"""The engine `kernel`: the qdisc netem of the kernel, set up and read back over netlink.

kernel_engine.py       the tree of qdiscs, as a drawing; apply, clear, counters, verify, serve
impaired_direction.py  one direction: two lanes, and the filters that lead packets to one of them
lane.py                a token bucket and a netem: made, changed, read back, counted
traffic_filters.py     which packets are led there
inventory.py           what is there, and what of it is ours
kernel_probe.py        whether the kernel can do it
qdisc.py, flower.py, netem_message.py    the messages
"""

from .inventory import sweep
from .kernel_engine import KernelEngine
from .kernel_probe import probe

__all__ = ["KernelEngine", "probe", "sweep"]
