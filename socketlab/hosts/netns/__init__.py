"""Hosts as network namespaces of this machine."""
