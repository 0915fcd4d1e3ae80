"""Hosts: what programs of the lecture run on, and what carries them."""
