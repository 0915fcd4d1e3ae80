"""Run: on Docker, from set-up to evidence."""
