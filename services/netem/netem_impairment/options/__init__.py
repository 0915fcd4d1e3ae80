"""A file an option: its words, what a spec keeps of it, and its place in the kernel's message."""
