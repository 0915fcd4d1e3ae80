"""The firewall, as both sidecars use it: chains of their own, changed as a whole and found by name.

marks.py     which packets are a sidecar's own
chains.py    the text of a change
iptables.py  the commands
"""
