"""Broken worlds, by the section of the claims that they are for."""
