"""The image that every service is built on: Debian, from a registry, or from Debian's packages.

The Dockerfiles begin with `FROM ${BASE_IMAGE}`, which is the registry's image unless the environment or the
file `.env` names another. Without a registry, one of the same kind is made here and named there.
"""

from setup import apt, bootstrap, docker, remedies
from setup.facts import Fact, State
from setup.machine import Machine
from setup.progress import step
from setup.shell import SetupError, run, temporary_folder
from socketlab import checkout, dotenv

NAME = "base-image"
VARIABLE = checkout.BASE
REGISTRY_IMAGE, OUR_IMAGE = checkout.REGISTRY_BASE, checkout.OUR_BASE

# A registry that answers says at once what it will send; sending may then take minutes on a slow line.
FIRST_WORD_S = 20.0
PULL_LIMIT_S = 600.0

# Python for every host; two for the one that impairs, tcpdump for the one that captures: 11 MB, once.
PACKAGES = ("python3", "iproute2", "iptables", "tcpdump")
ROLE = "org.socketlab.role=base"
PACKAGES_LABEL = "org.socketlab.packages"  # on our image: one of another list is built anew
# As in the registry's image: no packages left behind by apt.
APT_CLEAN = 'DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb"; };'


def chosen(machine: Machine) -> str:
    """Return the image that Compose is told to build on, or an empty string; it reads them in this order."""
    return checkout.chosen_base(machine.repository / ".env")


def check(machine: Machine, *, registry: bool = True) -> Fact:
    """Say whether the engine has the base image.

    Args:
        machine: this machine.
        registry: whether an image can be pulled, as far as known.
    """
    choice = chosen(machine)
    wanted = choice or REGISTRY_IMAGE
    here = docker.has_image(wanted)
    if here:
        old = wanted == OUR_IMAGE and is_old()
        if old and machine.administers_debian:
            found = f"{wanted} was built from another list of packages"
            return Fact(NAME, State.MISSING, found, "`make up` builds it anew", automatic=True)
        # Where it cannot be built, an old one serves: what it lacks, the images get from Debian's mirrors.
        by = f" (by {VARIABLE}{', an older one' if old else ''})" if choice else ""
        return Fact(NAME, State.OK, f"{wanted}{by}")
    if here is None:
        return Fact(NAME, State.UNKNOWN, f"the engine does not say whether it has {wanted}")
    if not choice and docker.has_image(OUR_IMAGE):
        return Fact(
            NAME, State.MISSING, f".env does not name {OUR_IMAGE}", "`make up` does it", automatic=True
        )
    buildable = machine.administers_debian and choice in {"", OUR_IMAGE}
    automatic = buildable or (registry and choice != OUR_IMAGE)
    remedy = f"`make up` {'builds' if buildable else 'pulls'} one" if automatic else advice(machine, choice)
    return Fact(NAME, State.MISSING, f"the engine does not have {wanted}", remedy, automatic)


def is_old() -> bool:
    """Tell whether our image was built from another list of packages than today's."""
    return docker.label_of(OUR_IMAGE, PACKAGES_LABEL) != " ".join(PACKAGES)


def advice(machine: Machine, choice: str) -> str:
    """Say what to do where no base image can be had without help."""
    if choice:
        return f"{VARIABLE} names it: undo that with `python3 -m setup remove-base-image` or in .env"
    return remedies.base_image(machine, REGISTRY_IMAGE)


def ensure(machine: Machine) -> None:
    """See to it that the engine has a base image; one that was chosen before stays.

    Raises:
        SetupError: it can be neither pulled nor built here.
    """
    fact = check(machine)
    if fact.state is State.OK:
        return
    if fact.state is State.UNKNOWN:
        raise fact.problem()
    choice = chosen(machine)
    if not choice and docker.has_image(OUR_IMAGE):
        choose_ours(machine)
        ensure(machine)  # it may be an old one
        return
    if choice != OUR_IMAGE:
        try:
            pull(choice or REGISTRY_IMAGE)
        except SetupError as error:
            print(f"{NAME}: {error}", flush=True)
        else:
            return
    if not (machine.administers_debian and choice in {"", OUR_IMAGE}):
        raise SetupError(f"{NAME}: {fact.found}\n  -> {advice(machine, choice)}")
    build(machine)
    if not choice:
        choose_ours(machine)


def choose_ours(machine: Machine) -> None:
    """Tell Compose to build on our image."""
    checkout.choose_base(OUR_IMAGE, machine.repository / ".env")
    print(f"{NAME}: wrote {VARIABLE}={OUR_IMAGE} into .env", flush=True)


def pull(image: str) -> None:
    """Pull an image.

    Raises:
        SetupError: no registry that has it answers.
    """
    with step(NAME, f"asking the registry for {image}"):
        outcome = run("docker", "pull", image, first_word_s=FIRST_WORD_S, timeout_s=PULL_LIMIT_S)
        if not outcome.ok:
            raise SetupError(outcome.err)


def build(machine: Machine) -> None:
    """Make our image from Debian's packages, with all that the services' images need: they need no network.

    Raises:
        SetupError: the packages could not be fetched or installed, or the engine does not take the image.
    """
    packages = (*PACKAGES, *(("ca-certificates",) if bootstrap.needs_certificates(machine) else ()))
    with temporary_folder() as folder:
        clean = f"echo '{APT_CLEAN}' > \"$1/etc/apt/apt.conf.d/clean\""
        bootstrap.make(machine, NAME, OUR_IMAGE, packages, folder / "base.tar", (clean,))
        with step(NAME, "handing it to the engine with docker import"):
            changes = (f"--change=LABEL {ROLE}",
                       f'--change=LABEL {PACKAGES_LABEL}="{" ".join(PACKAGES)}"',
                       '--change=CMD ["bash"]')  # fmt: skip
            apt.succeed(run("docker", "import", *changes, folder / "base.tar", OUR_IMAGE), "docker import")


def remove(machine: Machine) -> None:
    """Remove our image and our line in `.env`; no other image, no other line.

    Raises:
        SetupError: the engine does not answer, or a container still uses the image.
    """
    here = docker.has_image(OUR_IMAGE)
    if here is None:
        raise SetupError(f"{NAME}: the engine does not say whether it has {OUR_IMAGE}")
    if here:
        apt.succeed(run("docker", "image", "rm", OUR_IMAGE), f"docker image rm {OUR_IMAGE}")
        # Those that were built from earlier lists of packages have no name any more.
        earlier = f"label={ROLE}"
        apt.succeed(run("docker", "image", "prune", "--force", "--filter", earlier), "docker image prune")
        print(f"{NAME}: removed {OUR_IMAGE}", flush=True)
    if dotenv.remove(machine.repository / ".env", VARIABLE, OUR_IMAGE):
        print(f"{NAME}: removed {VARIABLE}={OUR_IMAGE} from .env", flush=True)
