"""The document of a run: JSON."""

import json
import re

from campaigns.load.attacks import Figures, Outcome

VERSION = 1  # changes when the meaning of a field does
SOAK = "soak"
MARKS = {Outcome.HELD: "held", Outcome.BROKEN: "BROKEN", Outcome.UNMEASURED: "could not be measured"}
LEAF = re.compile(r"\{[^{}\[\]]*\}")
BREAK = re.compile(r"\n *")  # no line of a string: JSON writes that as \\n


def text(found: Figures) -> str:
    """Return it with a sample, a check or a client's figures on a line."""
    return LEAF.sub(lambda leaf: BREAK.sub(" ", leaf[0]), json.dumps(found, indent=1, allow_nan=False)) + "\n"
