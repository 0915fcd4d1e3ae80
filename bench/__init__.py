"""Measures the servers of this lab beside others, in one run and under the same load."""
