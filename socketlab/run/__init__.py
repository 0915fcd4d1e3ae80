"""Experiments and conversations, on the hosts of any backend."""
