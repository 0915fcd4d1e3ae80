"""All targets, by their names.

Not in `tests/fuzz/targets/__init__.py`: who fuzzes one target then loads its neighbourhood alone.
"""

from tests.fuzz.target import Target
from tests.fuzz.targets import bundles, evidence, impairments, kernels, requests, results, streams

TARGETS: dict[str, Target] = {
    target.name: target
    for module in (streams, impairments, kernels, requests, evidence, results, bundles)
    for target in module.TARGETS
}
