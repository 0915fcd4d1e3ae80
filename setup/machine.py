"""What kind of machine this is, as far as set-up treats machines differently."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path

# The os-release IDs that name each family's package manager; a derivative names its parent in ID_LIKE.
FAMILIES = {
    "debian": ("debian", "ubuntu"),
    "fedora": ("fedora", "rhel", "centos"),
    "arch": ("arch",),
}


@dataclass(frozen=True)
class Machine:
    """A machine, looked at once at the start.

    Attributes:
        system: `Linux`, `Darwin`, ...
        kernel: the kernel's release.
        distribution: ID and then ID_LIKE of os-release, on Linux.
        codename: the name of the distribution's release (`bookworm`), where it has one.
        title: the system's name for people.
        root: we may change the system.
        container: we run inside a container ourselves.
        files: where the system's files begin; another folder in tests.
        repository: the folder of this project.
    """

    system: str
    kernel: str = ""
    distribution: tuple[str, ...] = ()
    codename: str = ""
    title: str = ""
    root: bool = False
    container: bool = False
    files: Path = Path("/")
    repository: Path = Path(__file__).resolve().parent.parent

    @property
    def family(self) -> str:
        """Name the family: `debian`, `fedora`, `arch`, `macos`, or `other`."""
        if self.system == "Darwin":
            return "macos"
        for family, names in FAMILIES.items():
            if self.system == "Linux" and not set(names).isdisjoint(self.distribution):
                return family
        return "other"

    @property
    def debian_itself(self) -> bool:
        """Tell whether it is Debian and no derivative: its mirror then has Debian's other releases too."""
        return self.family == "debian" and self.distribution[0] == "debian"

    @property
    def administers_debian(self) -> bool:
        """Tell whether set-up may install packages with apt-get."""
        return self.family == "debian" and self.root

    @property
    def wsl(self) -> int:
        """Return the version of the Windows Subsystem for Linux, 0 where it is none."""
        if "microsoft" not in self.kernel.lower():
            return 0
        return 2 if "microsoft" in self.kernel else 1  # version 1 spells its maker with a capital

    @property
    def systemd(self) -> bool:
        """Tell whether systemd runs the services (sd_booted(3) asks the same)."""
        return (self.files / "run/systemd/system").is_dir()


def parse_os_release(text: str) -> dict[str, str]:
    """Return the assignments of an os-release file, without their quotes."""
    lines = (line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {key.strip(): value.strip().strip("\"'") for key, _, value in lines}


def this_machine(files: Path = Path("/")) -> Machine:
    """Look at the machine we run on."""
    system, kernel = platform.system(), platform.release()
    try:
        text = (files / "etc/os-release").read_text(encoding="utf-8", errors="replace")
        release = parse_os_release(text)
    except OSError:
        release = {}  # macOS has none
    return Machine(
        system=system,
        kernel=kernel,
        distribution=(release.get("ID", ""), *release.get("ID_LIKE", "").split()),
        codename=release.get("VERSION_CODENAME", ""),
        title=release.get("PRETTY_NAME", "") or f"{system} {kernel}",
        root=hasattr(os, "geteuid") and os.geteuid() == 0,
        container=any((files / name).exists() for name in (".dockerenv", "run/.containerenv")),
        files=files,
    )
