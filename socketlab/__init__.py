"""The host side of Socket Lab: describe a scenario, run it on containers, read the trace, analyse, show."""
