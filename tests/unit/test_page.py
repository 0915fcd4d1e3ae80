"""The page: all that is on it comes from the document, and where nothing was measured it says so."""

import json
import re
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import pytest

from socketlab.show.page import build, document, page_figures, svg
from socketlab.show.page.build import Page
from socketlab.show.page.figure import Figure, made
from socketlab.show.page.tables import NOTHING
from tests.unit import documents
from tests.unit.documents import HOSTILE, Json

PLANS = {plan.name: plan for part in page_figures.PARTS for plan in part.plans}


def page(told: Json) -> Page:
    return build.page(document.document(told, "x"), told)


def drawn(name: str, told: Json) -> Figure:
    return made(PLANS[name], document.document(told, "x"))


@pytest.fixture(scope="module")
def complete() -> Page:
    """Of a run in which all was shown."""
    return page(documents.complete())


class Tags(HTMLParser):
    """All elements of a page, their attributes, and the text that is to be seen."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.data: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep it."""
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Keep it."""
        self.data.append(data)


def test_whole_run_has_every_figure_and_no_complaint(complete: Page) -> None:
    assert complete.broken == []
    ids = {attributes.get("id") for _tag, attributes in Tags(complete.html).tags}
    assert {f"figure-{name}" for name in PLANS} <= ids
    assert {f"claim-{each['id']}" for each in documents.complete()["claims"]} <= ids
    assert "Not measured" not in complete.html


def test_page_needs_nothing_from_anywhere(complete: Page) -> None:
    for tag, attributes in Tags(complete.html).tags:
        assert tag not in {"link", "iframe", "img", "object", "embed", "base"}
        assert not [name for name in attributes if name.startswith("on")]
        assert "style" not in attributes, (tag, attributes)  # the policy would not let it count
        for name in ("src", "href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith("#"), (tag, attributes)
    assert "http://" not in complete.html.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in complete.html
    assert "url(" not in re.sub(r"url\(#", "", complete.html)


def test_ids_are_of_one_element_each_and_references_lead_there(complete: Page) -> None:
    tags = Tags(complete.html).tags
    ids = [name for _tag, attributes in tags if (name := attributes.get("id")) is not None]
    assert [name for name in set(ids) if ids.count(name) > 1] == []
    links = {str(attributes["href"])[1:] for _tag, attributes in tags if "href" in attributes}
    clips = set(re.findall(r"url\(#([^)]+)\)", complete.html))
    assert (links | clips) - set(ids) == set()


def test_pictures_have_no_colour_of_their_own(complete: Page) -> None:
    pictures = re.findall(r"<svg.*?</svg>", complete.html, re.DOTALL)
    assert len(pictures) > 25
    for picture in pictures:
        assert re.findall(r"#[0-9a-fA-F]{6}", picture) == []
        assert 'aria-label="' in picture.partition(">")[0]


def test_document_is_in_the_page_as_it_was(complete: Page) -> None:
    text = re.search(
        r'<script type="application/json" id="document">(.*?)</script>', complete.html, re.DOTALL
    )
    assert text is not None
    assert json.loads(text[1]) == documents.complete()


def test_same_document_makes_the_same_page_and_pictures() -> None:
    one, again = page(documents.small()), page(documents.small())
    assert again.html == one.html
    assert set(one.pictures) == {"topology.svg", "flow.svg", "flow.png"}
    for name, picture in one.pictures.items():
        assert again.pictures[name]() == picture(), name


def test_pictures_are_files_of_their_own(complete: Page) -> None:
    names = {name.partition(".")[0].rstrip("-0123456789") for name in complete.pictures}
    assert names == set(PLANS) - {"restart", "repair"}
    for name, make in complete.pictures.items():
        picture = make()
        if name.endswith("png"):
            assert picture.startswith(b"\x89PNG"), name
        else:
            assert ElementTree.fromstring(picture).tag.endswith("svg")  # noqa: S314 - we made it
            assert b"var(" not in picture


def test_hostile_texts_are_text() -> None:
    told = documents.hostile()
    hostile = page(told)
    tags = Tags(hostile.html)
    assert [tag for tag, _attributes in tags.tags if tag in {"img", "iframe"}] == []
    assert sum(tag == "script" for tag, _attributes in tags.tags) == 2
    shown = svg.clean(HOSTILE)
    assert sum(shown in text for text in tags.data) > 100  # as it is, for everybody to read
    hostile.html.encode()  # half characters would not be UTF-8
    for name, picture in hostile.pictures.items():
        if name.endswith("svg"):
            root = ElementTree.fromstring(picture())  # noqa: S314 - we made it
            assert {each.tag.rpartition("}")[2] for each in root.iter()}.isdisjoint({"script", "img"}), name


# --- broken runs


def without(told: Json, name: str, **changes: Any) -> Json:
    """Return a run in which a claim left no figures."""
    for each in told["claims"]:
        if each["id"] == name:
            each |= {"figures": {}, **changes}
    return told


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param(
            {"outcome": "unmeasured", "reason": "no capture"},
            "T12 could not be measured: no capture",
            id="unmeasured",
        ),
        pytest.param({"outcome": "refuted"}, "T12 was refuted before it came to that", id="refuted"),
        pytest.param({}, "T12 was shown, but left no figures for this picture", id="forgotten"),
        pytest.param(
            {"figures": {"flow": {"samples": []}}}, "not as they should be: flow: samples", id="empty"
        ),
        pytest.param({"figures": {"flow": {"samples": [{"t_s": "1"}] * 2}}}, "samples.0.t_s", id="no number"),
        pytest.param({"figures": {"flow": 7}}, "not as they should be: flow: all of it", id="something else"),
        pytest.param(
            {"figures": {"flow": {"samples": [{"t_s": 0, "window_bytes": None}] * 2}}},
            "no advertised window was seen",
            id="never seen",
        ),
    ],
)
def test_figure_that_is_missing_says_why(changes: Json, words: str) -> None:
    figure = drawn("flow", without(documents.complete(), "T12", **changes))
    assert words in figure.missing
    assert (figure.wide, figure.strips, figure.facts, figure.files) == (None, (), (), {})


def test_figure_of_a_claim_that_was_not_run_says_so() -> None:
    told = documents.complete()
    told["claims"] = [each for each in told["claims"] if each["id"] not in {"U7", "U8"}]
    assert drawn("shares", told).missing == "U7 and U8 were not run"
    run = document.document(told, "x")
    assert "not run: U7, U8" in [each.text for each in build.problems(run, [])]


@pytest.mark.parametrize(("figure", "part"), [("udp", "story"), ("tcp", "connection")])
def test_measurement_that_broke_is_no_picture(figure: str, part: str) -> None:
    told = documents.complete()
    for each in told["claims"]:
        if figure in each["figures"]:
            each["figures"][figure][part]["faults"] = ["the server's log was cut off"]
    assert drawn(figure, told).missing == "the server's log was cut off"


@pytest.mark.parametrize(("figure", "part"), [("udp", "story"), ("tcp", "connection")])
def test_hosts_that_share_no_clock_have_no_picture_of_times(figure: str, part: str) -> None:
    told = documents.complete()
    for each in told["claims"]:
        if figure in each["figures"]:
            each["figures"][figure][part]["clocks"] = "the hosts do not share a clock"
    assert drawn(figure, told).missing == "the hosts do not share a clock"
    assert not drawn("shares", told).missing  # what was lost needs no clock


def test_sweep_that_was_not_made_or_is_none_says_so() -> None:
    told = documents.complete()
    del told["sweep"]
    assert "this run has no sweep" in drawn("sweep", told).missing
    told["sweep"] = {"points": []}
    assert "the sweep is not as it should be" in drawn("sweep", told).missing


def test_round_that_broke_is_told_and_the_others_are_drawn() -> None:
    told = documents.complete()
    side = told["sweep"]["points"][4]["tcp"]
    side |= {name: [None, *side[name][1:]] for name in ("answered_share", "goodput_bit_s", "completion_s")}
    side["broken"] = ["round 1 was not measured: the engine went away"]
    figure = drawn("sweep", told)
    assert figure.broken == ["TCP at 10 % loss: round 1 was not measured: the engine went away"]
    assert figure.wide is not None
    run = document.document(told, "x")
    part = build.Part("network", "", [figure])
    assert [problem.text for problem in build.problems(run, [part])] == list(figure.broken)


def test_sweep_of_which_nothing_was_measured_is_no_picture() -> None:
    told = documents.complete()
    for point in told["sweep"]["points"]:
        for side in (point["udp"], point["tcp"]):
            side |= {name: [None] for name in ("answered_share", "goodput_bit_s", "completion_s")}
            side["broken"] = ["round 1 was not measured: no sidecar works here"]
    assert "no round was measured; UDP at 0 % loss: round 1" in drawn("sweep", told).missing


def test_every_problem_is_named_once() -> None:
    told = documents.complete()
    told["claims"][0] |= {"outcome": "refuted"}
    told["claims"][1] |= {"outcome": "unmeasured", "reason": "no time"}
    # As `make lecture` writes them: the claims say the same.
    told["problems"] = ["S2: no time", "S1 is refuted", "the network was not restored"]
    broken = list(build.problems(document.document(told, "x"), []))
    assert [(each.where, each.target) for each in broken] == [
        ("", ""),
        ("S1", "claim-S1"),
        ("S2", "claim-S2"),
    ]
    assert "the network was not restored" in broken[0].text


# --- the numbers


def cells(figure: Figure) -> list[list[object]]:
    return [[cell.text if cell.value is None else cell.value for cell in row] for row in figure.facts[0].rows]


def test_fates_of_datagrams_are_counted_as_the_document_has_them() -> None:
    told = documents.complete()
    messages = told["claims"][16]["figures"]["udp"]["story"]["messages"]
    facts = {str(row[0]): row[1] for row in cells(drawn("udp", told))}
    for fate in ("answered", "lost going", "lost coming back"):
        assert facts[fate] == sum(message["fate"] == fate for message in messages)
    assert facts["sent"] == len(messages) == 60


def test_long_series_are_thinned_and_say_so() -> None:
    told = documents.complete()
    flow = next(each for each in told["claims"] if each["id"] == "T12")["figures"]["flow"]
    flow["samples"] = [{"t_s": place / 100, "window_bytes": place} for place in range(1201)]
    (table,) = drawn("flow", told).tables
    assert len(table.rows) == 301
    assert "One row in 4 of 1,201" in table.note


def test_words_of_the_terminal_are_used_again() -> None:
    figure = drawn("udp", documents.complete())
    assert "through: delay 25ms loss 10% reorder 25% (both ways)" in figure.done
    assert any("UDP loses and reorders" in note for note in figure.notes)


def test_questions_of_any_shape_become_tables() -> None:
    told = documents.complete()
    by_name = {each["id"]: each for each in told["claims"]}
    by_name["Q4"]["figures"] = {
        "repair": {"repaired": {"network": 0, "hosts": {"sent_again": 3}}, "median_ms": 2.5}
    }
    assert cells(drawn("repair", told)) == [
        ["repaired, network", 0], ["repaired, hosts, sent again", 3], ["median (ms)", 2.5]
    ]  # fmt: skip
    assert cells(drawn("restart", told))[0] == ["lost", 2, 1]


def test_records_become_a_table_each() -> None:
    told = documents.complete()
    records = [{"way": "going", "came": 200, "dropped": 18}, {"way": "coming back", "came": 182}]
    by_name = {each["id"]: each for each in told["claims"]}
    by_name["Q4"]["figures"] = {
        "repair": {"network": records, "hosts": [{"host": "client", "sent_again": 42}]}
    }
    network, hosts = drawn("repair", told).facts
    assert network.caption == "network"
    assert list(network.head) == ["way", "came", "dropped"]
    assert [[cell.text for cell in row] for row in network.rows] == [
        ["going", "200", "18"],
        ["coming back", "182", "-"],
    ]
    assert list(hosts.head) == ["host", "sent again"]


def test_segment_that_left_unseen_costs_no_picture_and_counts_as_neither_sent_nor_lost() -> None:
    told = documents.complete()
    figures_of = next(each for each in told["claims"] if each["id"] == "T11")["figures"]
    before = drawn("segments", told)
    arrived = next(each for each in figures_of["segments"] if each["arrived_ns"] is not None)
    figures_of["segments"].append(arrived | {"left_ns": None})
    figure = drawn("segments", told)
    assert [[cell.text for cell in row] for row in figure.facts[0].rows] == [
        [cell.text for cell in row] for row in before.facts[0].rows
    ]
    assert figure.tables[0].rows[-1][1].text == NOTHING
    assert len(figure.legend) == len(before.legend) + 1


def test_flags_of_segments_may_be_words_or_a_list() -> None:
    told = documents.complete()
    figures_of = next(each for each in told["claims"] if each["id"] == "T11")["figures"]
    before = drawn("segments", told).strips
    figures_of["segments"] = [each | {"flags": " ".join(each["flags"])} for each in figures_of["segments"]]
    assert drawn("segments", told).strips == before


def test_shares_of_all_claims_that_measured_some_stand_together() -> None:
    told = documents.complete()
    names = [row[0] for row in cells(drawn("shares", told))]
    assert names[:2] == ["U7: lost, going", "U7: sent ahead, going"]
    assert len(names) == 8
    assert [row[0] for row in cells(drawn("shares", without(told, "U8")))] == names[:4]


def test_evidence_is_told_in_the_order_of_what_was_done() -> None:
    told = documents.complete()
    checks: list[Json] = [
        {"statement": f"seen {step}", "holds": True, "evidence": {}, "step": step} for step in (0, 2, 1, 2, 9)
    ]
    told["claims"][0] |= {"did": ["first", "second"], "checks": checks}
    claim = document.document(told, "x").claims[0]
    assert [(did, [check.statement for check in seen]) for did, seen in build.steps(claim)] == [
        ("", ["seen 0"]),
        ("first", ["seen 1"]),
        ("second", ["seen 2", "seen 2"]),
        ("", ["seen 9"]),
    ]
