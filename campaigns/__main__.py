"""Runs a campaign by its name: a folder in this one. What all of them take: `campaigns.runner`."""

import importlib
import sys
from pathlib import Path

import campaigns
from campaigns import paths, runner


def main() -> int:
    """Let our modules be found where the tests find them, then run the campaign."""
    sys.path[:0] = paths.folders()
    name, *arguments = sys.argv[1:] or [""]
    # Several folders, where another product has campaigns, too.
    names = {file.parent.name for folder in campaigns.__path__ for file in Path(folder).glob("*/campaign.py")}
    if name not in names:
        print(f"campaigns: expected one of {', '.join(sorted(names))}, got {name or 'none'}", file=sys.stderr)
        return 2
    return runner.main(importlib.import_module(f"campaigns.{name}.campaign").CAMPAIGN, arguments)


if __name__ == "__main__":
    sys.exit(main())
