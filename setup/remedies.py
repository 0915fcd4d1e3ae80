"""What to type on which system; the words behind "missing"."""

from setup.machine import Machine

MANAGERS = {
    "debian": "apt-get install",
    "fedora": "dnf install",
    "arch": "pacman -S",
    "macos": "brew install",
}

UNCHOOSE = "undo the choice: unset DOCKER_HOST DOCKER_CONTEXT; docker context use default"

PACKAGES = {
    "engine": {
        "debian": "docker.io iptables",
        "fedora": "moby-engine docker-compose",
        "arch": "docker docker-compose docker-buildx",
    },
    "compose": {
        "debian": "docker-compose-v2",
        "fedora": "docker-compose",
        "arch": "docker-compose",
        "macos": "docker-compose",
    },
    "C compiler": {"debian": "gcc libc6-dev", "fedora": "gcc", "arch": "gcc"},
}


def sudo(machine: Machine) -> str:
    """Return what must stand before a command that changes the system."""
    return "" if machine.root else "sudo "


def install(machine: Machine, thing: str) -> str:
    """Return the command that installs something, or advice in words where no command is known."""
    if machine.family == "macos" and thing in {"git", "make", "C compiler"}:
        return "xcode-select --install"
    packages = PACKAGES.get(thing, {}).get(machine.family, thing if thing not in PACKAGES else "")
    manager = MANAGERS.get(machine.family)
    if not (packages and manager):
        return f"install {thing} with this system's package manager"
    return f"{'' if machine.family == 'macos' else sudo(machine)}{manager} {packages}"


def engine(machine: Machine) -> str:
    """Say how to get an engine."""
    if machine.family == "macos":
        return "install and start Docker Desktop (or: brew install colima docker && colima start)"
    if machine.family == "other":
        return "install Docker Engine 20.10 or newer with the Compose plugin, and start it"
    words = f"{install(machine, 'engine')} && {start(machine)}"
    if not machine.root:
        words += f" && {join_group()}"
    if machine.wsl:
        words += "; or switch on this distribution in Docker Desktop: Settings, Resources, WSL integration"
    return words


def start(machine: Machine) -> str:
    """Say how to start an engine that is installed."""
    if machine.family == "macos":
        return "start Docker Desktop (or: colima start)"
    service = "systemctl enable --now docker" if machine.systemd else "service docker start"
    return f"{sudo(machine)}{service}"


def join_group() -> str:
    """Say how to get the right to use the engine's socket."""
    return "sudo usermod -aG docker $USER, then log out and in again (or use Docker in rootless mode)"


def compose(machine: Machine) -> str:
    """Say how to get the Compose plugin."""
    if machine.debian_itself:
        # Only Debian 13 and newer has version 2 under this name.
        return f"{sudo(machine)}apt-get install docker-compose (Debian 13 or newer)"
    if machine.family == "other":
        return "install the Compose plugin of Docker, version 2.20 or newer"
    if machine.family == "macos":
        # Homebrew leaves it to the user to put the plugin where the client looks for it.
        plugin = "$(brew --prefix)/opt/docker-compose/bin/docker-compose"
        folder = "~/.docker/cli-plugins"
        return f"{install(machine, 'compose')} && mkdir -p {folder} && ln -sfn {plugin} {folder}/"
    return install(machine, "compose")


def base_image(machine: Machine, image: str) -> str:
    """Say how to get a base image without a registry that answers."""
    words = f"see to it that `docker pull {image}` works (network, proxy, registry mirror)"
    if machine.family == "debian" and not machine.root:
        words += ", or build one from Debian packages: sudo python3 -m setup ensure base-image"
    return f"{words}, or name an image with Debian in .env: BASE_IMAGE=…"
