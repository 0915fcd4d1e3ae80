"""Hosts as containers of a Compose project. Nothing else in socketlab talks to Docker."""
