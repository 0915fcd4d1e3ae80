"""Describe: what is to happen, as data."""
