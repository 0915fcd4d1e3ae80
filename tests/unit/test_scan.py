"""The scan of compose.yaml, Dockerfiles and scripts finds holes; what it leaves as it is has a reason."""

import re
from pathlib import Path

import pytest

from socketlab.checkout import ROOT
from tests import scan

PINNED = "08c6903cd8c0fde910a37f88322edcfb5dd907a8"  # actions/checkout
HOLES = {
    "privileged": ("compose.yaml", "    cap_add: [NET_RAW]", "    privileged: true"),
    "socket": (
        "compose.yaml",
        '    tmpfs: ["/run:size=1m,mode=755"]',
        "    volumes: [/var/run/docker.sock:/s]",
    ),
    "published": ("compose.yaml", "    networks: [lab]", "    networks: [lab]\n    ports: ['12000:12000']"),
    "privileges": ("compose.yaml", 'security_opt: ["no-new-privileges:true"]', "security_opt: []"),
    "capabilities": ("compose.yaml", "cap_drop: [ALL]", "cap_drop: []"),
    "writable": ("compose.yaml", "read_only: true", "read_only: false"),
    "machine": ("compose.yaml", "    networks: [lab]", "    network_mode: host"),
    "download": ("services/client/Dockerfile", "COPY client/", "ADD client/"),
    "pipe": ("services/client/Dockerfile", "compileall -q .", "compileall -q . | cat"),
    "action": (".github/workflows/test.yml", f"{PINNED} # v5.0.0", "v5"),
    "token": (".github/workflows/test.yml", "persist-credentials: false", "fetch-depth: 1"),
    "step": (".github/workflows/test.yml", "- run: make lint", "- runs: make lint"),
    "field": (".github/ISSUE_TEMPLATE/bug.yml", "type: textarea", "type: textbox"),
    "quotes": ("services/client/client.sh", '"$program" "$@"', '"$program" $@'),
}


@pytest.mark.parametrize(("file", "right", "wrong"), HOLES.values(), ids=list(HOLES))
def test_hole_is_found(
    file: str, right: str, wrong: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    assert right in text
    with_hole = tmp_path / file
    with_hole.parent.mkdir(parents=True, exist_ok=True)
    with_hole.write_text(text.replace(right, wrong), encoding="utf-8")
    scanners = [command for command, files in scan.SCANS if ROOT / file in ROOT.glob(files)]
    assert not all(scan.run(command, with_hole) for command in scanners)
    assert any(capfd.readouterr())


def test_every_exception_has_a_reason() -> None:
    exceptions = (ROOT / ".compose-lint.yml").read_text(encoding="utf-8").splitlines()
    for line in exceptions:
        if line.startswith("      "):
            assert re.fullmatch(r'      [a-z]+: ".{30,}"', line), line
    ignored = (ROOT / ".hadolint.yaml").read_text(encoding="utf-8").partition("ignored:\n")[2]
    assert re.fullmatch(r"(( +# .+\n)+ +- [A-Z]+\d+\n)+", ignored)


def test_scan_fails_when_one_of_the_scanners_does(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []

    def run(command: tuple[str, ...], *_files: Path) -> bool:
        ran.append(command[0])
        return command[0] != "hadolint"

    monkeypatch.setattr(scan, "run", run)
    assert scan.main() == 1
    assert ran == [command[0] for command, _files in scan.SCANS]
