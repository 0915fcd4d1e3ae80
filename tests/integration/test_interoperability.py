"""Programs written by others, unchanged, on hosts beside ours: found by the names that the textbook uses."""

import pytest

from socketlab.lab import ROOT, Lab
from tests.integration.hosts import Hosts

TEXTBOOK = ROOT / "tests" / "textbook"
