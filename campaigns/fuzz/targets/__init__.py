"""The targets, a module for each neighbourhood; `campaigns/fuzz/catalogue.py` has them all."""
