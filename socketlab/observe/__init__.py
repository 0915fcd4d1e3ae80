"""Observe: what programs, hosts and the network say, read back."""
