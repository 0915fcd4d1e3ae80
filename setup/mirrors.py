"""Which mirrors this machine's apt is told to use.

No mirror is named in this project: what must come from another Debian release comes from the mirrors
somebody chose for this machine.
"""

from collections.abc import Iterator

from setup.machine import Machine

Source = dict[str, str]


def one_line_sources(text: str) -> Iterator[Source]:
    """Yield the sources of a `.list` file: `deb [options] uri suite component...`."""
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if len(words) > 1 and words[1].startswith("["):
            end = next((i for i, word in enumerate(words) if word.endswith("]")), len(words))
            words[1 : end + 1] = []
        if len(words) >= 4:
            yield {"Types": words[0], "URIs": words[1], "Suites": words[2], "Components": " ".join(words[3:])}


def deb822_sources(text: str) -> Iterator[Source]:
    """Yield the sources of a `.sources` file: stanzas of `Field: value`, which indented lines go on."""
    stanza: Source = {}
    key = ""
    for line in [*text.splitlines(), ""]:
        if line.startswith("#"):
            continue
        if not line.strip():
            if stanza and stanza.get("Enabled", "yes").lower() != "no":
                yield stanza
            stanza, key = {}, ""
        elif line[0].isspace():
            stanza[key] = f"{stanza.get(key, '')} {line.strip()}"
        else:
            key, _, value = line.partition(":")
            stanza[key] = value.strip()


def sources(machine: Machine) -> Iterator[Source]:
    """Yield every source of this machine's apt configuration that is switched on."""
    folder = machine.files / "etc/apt"
    parts = folder / "sources.list.d"
    for file in (folder / "sources.list", *sorted(parts.glob("*.list"))):
        if file.is_file():
            yield from one_line_sources(file.read_text(encoding="utf-8", errors="replace"))
    for file in sorted(parts.glob("*.sources")):
        yield from deb822_sources(file.read_text(encoding="utf-8", errors="replace"))


def lines_for(machine: Machine, suite: str) -> list[str]:
    """Return source lines for another release, on the mirrors this machine has its own release from.

    Empty where that cannot be told: not Debian itself, or a release under another name than its codename.
    """
    if not (machine.debian_itself and machine.codename):
        return []
    wanted = {f"{machine.codename}{pocket}": f"{suite}{pocket}" for pocket in ("", "-updates", "-security")}
    lines = [
        f"deb {uri} {wanted[name]} main"
        for source in sources(machine)
        if "deb" in source.get("Types", "").split() and "main" in source.get("Components", "").split()
        for uri in source.get("URIs", "").split()
        for name in source.get("Suites", "").split()
        if name in wanted
    ]
    return list(dict.fromkeys(lines))
