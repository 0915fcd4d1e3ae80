"""Hosts as containers of a Compose project. Nothing else in this package talks to Docker."""
