"""Analyse: from what was observed to results. No clock, no input or output."""
