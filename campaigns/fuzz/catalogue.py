"""All targets, by their names.

Not in `campaigns/fuzz/targets/__init__.py`: who fuzzes one target then loads its neighbourhood alone.
"""

from campaigns.fuzz.target import Target
from campaigns.fuzz.targets import bundles, evidence, impairments, kernels, requests, results, streams

TARGETS: dict[str, Target] = {
    target.name: target
    for module in (streams, impairments, kernels, requests, evidence, results, bundles)
    for target in module.TARGETS
}
