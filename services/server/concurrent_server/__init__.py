"""The parts of the concurrent server: its TCP clients, its UDP clients, and how it waits for both."""
