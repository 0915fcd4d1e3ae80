"""Each contract holds for what was found before, and for some thousand inputs near that."""

import importlib
import traceback
from pathlib import Path

import pytest

from campaigns.fuzz.catalogue import TARGETS
from campaigns.fuzz.corpus import CORPUS, INPUTS, file_of, in_order, inputs, keep, quoted, unquoted, words
from campaigns.fuzz.found import FOUND, Found
from campaigns.fuzz.mutations import mutations
from campaigns.fuzz.target import Target

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
    assert len(known) > len(target.seeds), f"no corpus: make fuzz ONLY={target.name} RECORD=1"
    for data in known:
        tried(target, data)


@EACH
def test_contract_holds_near_the_corpus(target: Target) -> None:
    count = max(30, target.executions // SHARE)
    for data in mutations(inputs(target), words(target), count, target.longest, seed=1):
        tried(target, data)


@pytest.mark.parametrize("found", FOUND, ids=lambda found: f"{found.target}: {found.what}")
def test_what_broke_once_holds(found: Found) -> None:
    tried(TARGETS[found.target], found.data)


@EACH
def test_target_is_found_where_its_contract_is(target: Target) -> None:
    assert target in importlib.import_module(target.one.__module__).TARGETS


def test_corpus_is_small_and_belongs_to_targets() -> None:
    assert {file.name for file in CORPUS.iterdir()} <= {f"{name}.txt" for name in TARGETS}
    known = [data for target in TARGETS.values() for data in inputs(target)[len(target.seeds) :]]
    assert sum(map(len, known)) <= LARGEST_CORPUS


@EACH
def test_corpus_is_written_in_one_way(target: Target) -> None:
    text = file_of(target).read_text(encoding="ascii")
    known = inputs(target)[len(target.seeds) :]
    assert known == sorted(set(known), key=in_order)
    assert text.partition(INPUTS)[2] == "".join(map(quoted, known))


def test_words_of_a_dictionary_are_as_libfuzzer_reads_them() -> None:
    known = words(TARGETS["operated"])
    assert b'"id": 1' in known
    assert b"\n" in known


def test_any_bytes_are_read_back_from_the_line_that_they_become() -> None:
    each = [b"", bytes(range(256)), b"\\x41", b'\\"', b"a\n", b"# inputs"]
    assert unquoted("".join(map(quoted, each))) == each


def test_shortest_inputs_that_have_room_are_kept_beside_the_words(tmp_path: Path) -> None:
    found, file = tmp_path / "found", tmp_path / "spec.txt"
    found.mkdir()
    for number, data in enumerate([b"l" * 5_990, b"\0", b"s" * 10, b"longest" * 900]):
        (found / str(number)).write_bytes(data)
    file.write_text('# words\n"loss "\n# inputs\n"old"\n', encoding="ascii")
    keep(found, file)
    assert file.read_text(encoding="ascii") == ('# words\n"loss "\n# inputs\n"\\x00"\n"' + "s" * 10 + '"\n')


def test_mutations_are_the_same_for_the_same_seed() -> None:
    def made(seed: int) -> list[bytes]:
        return list(mutations([b"delay 5ms", b"loss 1%"], [b"seed "], 200, 20, seed))

    assert made(1) == made(1) != made(2)
    assert max(map(len, made(1))) <= 20
    assert len(set(made(1))) > 150
