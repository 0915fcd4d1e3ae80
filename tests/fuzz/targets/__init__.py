"""The targets, a module for each neighbourhood; `tests/fuzz/catalogue.py` has them all."""
