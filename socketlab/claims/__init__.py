"""The claims of the lecture, each shown on real hosts: one function a claim."""
