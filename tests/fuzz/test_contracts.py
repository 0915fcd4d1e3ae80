"""Each contract holds for what was found before, and for some thousand inputs near that."""

import importlib
import traceback

import pytest

from tests.fuzz.catalogue import TARGETS
from tests.fuzz.corpus import CORPUS, HERE, WORDS, dictionary, inputs
from tests.fuzz.found import FOUND, Found
from tests.fuzz.mutations import mutations, words_of
from tests.fuzz.target import Target

EACH = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())

# A full run's share that takes a tenth of a second or so: the slower a target, the fewer are its executions.
SHARE = 1000
LARGEST_CORPUS = 150_000  # bytes, of all targets


def tried(target: Target, data: bytes) -> None:
    """Try an input; what comes out fails the test, told in letters that one process can send to another."""
    came_out = ""
    try:
        target.one(data)
    except BaseException:  # noqa: BLE001 - whatever it is
        came_out = f"{traceback.format_exc()}\nthe input: {data!r}"
    if came_out:  # and not chained to what came out, which pytest-xdist could not send
        pytest.fail(came_out.encode("ascii", "backslashreplace").decode(), pytrace=False)


@EACH
def test_contract_holds_for_the_corpus(target: Target) -> None:
    known = inputs(target)
    assert len(known) > len(target.seeds), f"no corpus: python -m tests.fuzz {target.name} --keep"
    for data in known:
        tried(target, data)


@EACH
def test_contract_holds_near_the_corpus(target: Target) -> None:
    count = max(30, target.executions // SHARE)
    words = words_of(dictionary(target))
    for data in mutations(inputs(target), words, count, target.longest, seed=1):
        tried(target, data)


@pytest.mark.parametrize("found", FOUND, ids=lambda found: f"{found.target}: {found.what}")
def test_what_broke_once_holds(found: Found) -> None:
    tried(TARGETS[found.target], found.data)


@EACH
def test_target_is_found_where_its_contract_is(target: Target) -> None:
    assert target in importlib.import_module(target.one.__module__).TARGETS


def test_corpus_is_small_and_belongs_to_targets() -> None:
    folders = {folder.name: list(folder.iterdir()) for folder in CORPUS.iterdir()}
    assert folders.keys() <= TARGETS.keys()
    assert sum(file.stat().st_size for files in folders.values() for file in files) <= LARGEST_CORPUS
    assert {file.stem for file in WORDS.iterdir()} <= TARGETS.keys()
    assert HERE in CORPUS.parents


def test_words_of_a_dictionary_are_as_libfuzzer_reads_them() -> None:
    words = words_of(WORDS / "operated.dict")
    assert b'"id": 1' in words
    assert b"\n" in words


def test_mutations_are_the_same_for_the_same_seed() -> None:
    def made(seed: int) -> list[bytes]:
        return list(mutations([b"delay 5ms", b"loss 1%"], [b"seed "], 200, 20, seed))

    assert made(1) == made(1) != made(2)
    assert max(map(len, made(1))) <= 20
    assert len(set(made(1))) > 150
