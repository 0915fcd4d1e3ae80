"""The images of the hosts: built when something in them has changed, carried to other machines, removed.

Images of one tag are built by one process at a time (`turns.building`): two at once would make two images of
each, and the labs that began with one would have their hosts made anew from the other.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any, Protocol

import docker
from docker.errors import APIError, ImageNotFound, NotFound, NullResource

from socketlab import checkout, hints
from socketlab.errors import EngineError
from socketlab.hosts import steps, turns
from socketlab.hosts.docker.bundle import SOURCE_LABEL, Carried
from socketlab.hosts.docker.docker_engine import engine_errors
from socketlab.hosts.docker.image_source import digest

ROLES = ("server", "client", "netem", "capture")


class Describe(Protocol):
    """Returns what compose.yaml says of the hosts and their network, with these variables replaced."""

    def __call__(self, **variables: str) -> Mapping[str, Any]: ...  # noqa: D102


class Execute(Protocol):
    """Runs a docker command, and returns its output; or writes that into a file."""

    def __call__(self, name: str, command: Sequence[str], output: IO[bytes] | None = None, /) -> str: ...  # noqa: D102


class Images:
    """The images of a checkout's or an installation's hosts, on one engine.

    Args:
        client: the engine.
        describe: reads compose.yaml.
        execute: runs docker commands.
    """

    def __init__(self, client: docker.DockerClient, describe: Describe, execute: Execute) -> None:
        self._docker = client
        self._describe = describe
        self._execute = execute
        self._replaced: set[str] = set()  # images of before; hosts may use them until Compose makes them anew

    def build(self, **variables: str) -> None:
        """Build the images of the lab's hosts, as far as anything in them has changed.

        Not by `docker compose build`, which writes the lab's name into an image: so it would be another image
        for each lab, and two labs in turn would have each other's hosts made anew.

        Args:
            variables: COMPOSE_PROFILES chooses the optional hosts.
        """
        self._build(partial(self.outdated, **variables))

    def _build(self, outdated: Callable[[], Mapping[str, tuple[str, Mapping[str, Any]]]]) -> None:
        if not outdated():
            return
        with turns.building(checkout.project()):  # whoever is before us may have made them
            for image, (source, build) in outdated().items():
                replaced = self.attributes(image).get("Id", "")
                command = ["docker", "build", "--quiet", "--label", f"{SOURCE_LABEL}={source}"]
                command += ["--tag", image, "--file", str(Path(build["context"]) / build["dockerfile"])]
                command += [f"--build-arg={name}={value}" for name, value in build.get("args", {}).items()]
                try:
                    with steps.announce(f"building the image {image} ..."):
                        self._execute("docker build", [*command, build["context"]])
                except EngineError as error:
                    base = base_of(build)
                    if self.attributes(base):
                        raise
                    raise EngineError(
                        f"cannot build {image}: expected the base image {base}, it is not here and cannot be "
                        f"pulled: name another by {checkout.BASE}, in the environment or in "
                        f"{checkout.SETTINGS}, or load a bundle: {hints.own('bundle load FILE')} "
                        f"({last_line(str(error))})"
                    ) from error
                self._replaced.add(replaced)
            self.discard_replaced()

    def outdated(self, **variables: str) -> dict[str, tuple[str, Mapping[str, Any]]]:
        """Return the images that are to be built: the digest of the source, and what compose.yaml says of it.

        Docker would find out as well, in a quarter of a second an image. Where the base image is not here,
        what was built on it stands.
        """
        return self._outdated(self.sources(**variables))

    def build_described(self, described: Mapping[str, Any]) -> None:
        """Build those of the hosts that compose.yaml describes so, as `build` does."""
        self._build(partial(self._outdated, sources_in(described)))

    def _outdated(
        self, sources: Mapping[str, tuple[str, Mapping[str, Any]]]
    ) -> dict[str, tuple[str, Mapping[str, Any]]]:
        found = {}
        for image, (source, build) in sources.items():
            present = self.attributes(image)
            labels = present.get("Config", {}).get("Labels") or {}
            base = layers(self.attributes(base_of(build)))
            if labels.get(SOURCE_LABEL) != source or layers(present)[: len(base)] != base:
                found[image] = source, build
        return found

    def sources(self, **variables: str) -> dict[str, tuple[str, Mapping[str, Any]]]:
        """Return what each image is made from: the digest of the source, and what compose.yaml says of it."""
        return sources_in(self._describe(**variables))

    def base_where_none_is_chosen(self) -> dict[str, str]:
        """Return the variable that names our own base image, for an installation that has no other.

        In a checkout set-up sees to that.
        """
        if not checkout.INSTALLED or checkout.chosen_base():
            return {}
        ours = not self.attributes(checkout.REGISTRY_BASE) and self.attributes(checkout.OUR_BASE)
        return {checkout.BASE: checkout.OUR_BASE} if ours else {}

    def attributes(self, name: str) -> Mapping[str, Any]:
        """Return what the engine knows of an image; nothing: it does not have it."""
        with engine_errors(f"look at the image {name}"):
            try:
                return self._docker.images.get(name).attrs
            except (ImageNotFound, NullResource):
                return {}

    def discard_replaced(self) -> None:
        """Remove the images that builds have replaced, as far as no host uses them any more."""
        self._replaced = {image for image in self._replaced if not self._discard(image)}

    def _discard(self, image: str) -> bool:
        """Remove an image of ours that has been replaced, unless it has another name; False: one uses it."""
        found = self.attributes(image) if image else {}
        if found and not found.get("RepoTags"):
            try:
                self._docker.images.remove(image)
            except NotFound:
                return True
            except APIError:
                return False
        return True

    # --- bundles

    def name(self, role: str, name: str) -> None:
        """Give the image of a host's role another name, by which other projects use it."""
        self._tag(checkout.image(role), name)

    def save(self, file: Path) -> list[str]:
        """Write the images of all hosts, and the base image, into a file; return their names.

        Raises:
            EngineError: one cannot be built, or written; what is in the file is then of no use.
        """
        base = self._base_in_use()
        if not self.attributes(base):  # BuildKit builds on an image without keeping it
            self._execute("docker pull", ["docker", "pull", "--quiet", base])
        self.build(COMPOSE_PROFILES="*")
        names = [*map(checkout.image, ROLES), base]
        with file.open("wb") as output:
            self._execute("docker save", ["docker", "save", *names], output)
        return names

    def load(self, file: Path, carried: Mapping[str, Carried]) -> list[str]:
        """Take the images of all hosts, and the base image, from a bundle.

        Args:
            file: the bundle.
            carried: what is in it.

        Returns:
            what has changed beside the images, a sentence each.

        Raises:
            EngineError: they are for other machines, of another version or on another base; or the file is
                damaged. Nothing has changed then.
        """
        base, notes = carried["base"].name, []
        chosen = checkout.chosen_base()
        if chosen not in {"", base}:
            raise EngineError(
                f"expected a bundle on the base image {chosen}, got one on {base}: remove {checkout.BASE} "
                f"from the environment and from {checkout.SETTINGS}, or save one on {chosen}"
            )
        with engine_errors("ask the engine for which machines its images are"):
            architecture = self._docker.version()["Arch"]
        if others := {each.architecture for each in carried.values()} - {architecture}:
            raise EngineError(f"expected images for {architecture}, got some for {', '.join(sorted(others))}")
        made_from = self.sources(COMPOSE_PROFILES="*", BASE_IMAGE=base)
        if any(made_from[checkout.image(role)][0] != carried[role].source for role in ROLES):
            raise EngineError(
                f"{file} carries the hosts of another version of Socket Lab: "
                "save one with the version that is here"
            )
        before = {each.name: str(self.attributes(each.name).get("Id", "")) for each in carried.values()}
        ours = {role: str(self.attributes(checkout.image(role)).get("Id", "")) for role in ROLES}
        try:
            self._execute("docker load", ["docker", "load", "--quiet", "--input", str(file)])
            for role in ROLES:
                self._tag(carried[role].name, checkout.image(role))
        except BaseException:
            self._put_back(before)
            raise
        mine = set(map(checkout.image, ROLES))
        self._put_back({name: was for name, was in before.items() if name not in {*mine, base}})
        for was in ours.values():
            self._discard(was)
        if before[base] and before[base] != self.attributes(base).get("Id"):
            notes.append(f"{base} was another image before; labs that are built on it will build anew.")
        if self._base_in_use() != base:
            checkout.choose_base(base)
            notes.append(f"wrote {checkout.BASE}={base} into {checkout.SETTINGS}")
        return notes

    def _base_in_use(self) -> str:
        """Return the name of the base image that images are built on now."""
        return base_of(next(build for _source, build in self.sources().values()))

    def _tag(self, image: str, name: str) -> None:
        """Give an image a name."""
        with engine_errors(f"name the image {name}"):
            self._docker.images.get(image).tag(name)

    def _put_back(self, before: Mapping[str, str]) -> None:
        """Have names mean the images again that they meant before; nothing: there was none."""
        for name, was in before.items():
            now = self.attributes(name).get("Id", "")
            if was and now != was:
                self._tag(was, name)
                self._discard(now)
            elif now and not was:
                with suppress(APIError, NotFound):
                    self._docker.images.remove(name)

    def remove(self) -> tuple[list[str], list[str]]:
        """Remove the images of the checkout's hosts.

        Returns:
            the names of those that were removed, and of those that stay, for a container uses them.
        """
        removed, kept = [], []
        with engine_errors("remove the images"):
            for name in map(checkout.image, ROLES):
                try:
                    self._docker.images.remove(name)
                except ImageNotFound:
                    continue
                except APIError as error:
                    if error.status_code != HTTPStatus.CONFLICT:
                        raise
                    kept.append(name)
                else:
                    removed.append(name)
        return removed, kept


def sources_in(described: Mapping[str, Any]) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """Return what each image is made from, as compose.yaml says: see `Images.sources`."""
    return {
        service["image"]: (digest(service["build"]), service["build"])
        for service in described["services"].values()
        if "build" in service  # else it is a host that somebody added: an image that is there
    }


def base_of(build: Mapping[str, Any]) -> str:
    """Return the name of the base image in what compose.yaml says of an image; nothing: it has none."""
    return str(build.get("args", {}).get(checkout.BASE, ""))


def layers(image: Mapping[str, Any]) -> list[str]:
    """Return the digests of an image's layers, its base's first: every engine has the same of it."""
    return list(image.get("RootFS", {}).get("Layers") or ())


def last_line(text: str) -> str:
    """Return the last line that has something in it."""
    return next(filter(None, map(str.strip, reversed(text.splitlines()))), "")
