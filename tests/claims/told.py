"""What a finding says, for a test that fails."""

from socketlab.claims.notebook import Finding


def told(finding: Finding) -> str:
    """Return all that was seen, a line each."""
    lines = [f"{finding.claim.id} {finding.outcome}: {finding.reason}", *finding.did]
    for check in finding.checks:
        lines.append(f"{'ok  ' if check.holds else 'NOT '} {check.statement}")
        lines += [f"       {label}: {value}" for label, value in check.evidence.items()]
    return "\n".join(lines)
