"""Drawings of the page: what is drawn where, and what never lies on each other."""

import re
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest
from markupsafe import Markup

from socketlab.show.page import sequence, socket_drawing, svg, topology
from socketlab.show.page.document import shaped
from socketlab.show.page.document_types import Segment, Socket, Topology
from socketlab.show.page.svg import MONO, WIDE, Drawing
from socketlab.show.timeline import Kind, Leg, Picture
from tests.unit import documents

MS = 10**6
WIDTHS = pytest.mark.parametrize("width", [900, 370])


def elements(picture: Markup, name: str) -> list[ElementTree.Element]:
    return [each for each in ElementTree.fromstring(picture).iter() if each.tag.endswith(f"}}{name}")]  # noqa: S314


def words(picture: Markup) -> list[str]:
    return [each.text or "" for each in elements(picture, "text")]


def height(picture: Markup) -> float:
    box = ElementTree.fromstring(picture).get("viewBox") or ""  # noqa: S314
    return float(box.split()[3])


# --- what they are made of


def test_text_is_escaped_and_cleaned() -> None:
    drawing = Drawing(100, 20)
    drawing.text(0, 10, "<b>&\x00\ud800\n")
    drawing.line(0, 0, 1, 1, "s-ink", title='"><script>')
    picture = drawing.svg('a "label"')
    assert words(picture) == ["<b>&\ufffd\ufffd\n".replace("\ufffd\ufffd", "\ufffd?")]
    assert elements(picture, "title")[0].text == '"><script>'
    assert elements(picture, "script") == []


def test_text_is_shortened_to_its_room() -> None:
    assert svg.fitting("short", 200, 13) == "short"
    assert svg.fitting("x" * 100, 13 * MONO * 10.5, 13, mono=True) == "x" * 9 + "…"
    assert svg.room("ten places", 10) == pytest.approx(10 * 10 * WIDE)


def test_picture_of_its_own_is_light_and_needs_no_page() -> None:
    drawing = Drawing(10, 10)
    drawing.line(0, 0, 1, 1, "s-udp")
    file = svg.standalone(drawing.svg("x"), 20).decode()
    assert "stroke: #0a5ca0" in file
    assert "var(" not in file
    assert 'fill="#ffffff"' in file


def test_both_palettes_name_the_same_colours() -> None:
    sheet = svg.stylesheet("palette.css")
    parts = [set(re.findall(r"(--[a-z]+):", part)) for part in sheet.split("@media")]
    assert len(parts) == 3
    assert parts[0] == parts[1] == parts[2] == set(svg.palette())
    used = set(re.findall(r"var\((--[a-z]+)\)", svg.stylesheet("picture.css") + svg.stylesheet("page.css")))
    assert used <= parts[0]


# --- hosts, and sockets


@WIDTHS
def test_topology_has_all_that_is_known_of_each_host(width: int) -> None:
    data = shaped(Topology, documents.TOPOLOGY)
    written = words(topology.draw(data, width))
    for host in data.hosts:
        assert {host.name, host.address, host.mac, *host.programs, *host.ports} <= set(written)
    assert "network lab" in written


@pytest.mark.parametrize("number", [1, 2, 3, 4, 7])
@WIDTHS
def test_any_number_of_hosts_has_room(width: int, number: int) -> None:
    host: dict[str, Any] = documents.TOPOLOGY["hosts"][0]
    told = documents.TOPOLOGY | {"hosts": [host | {"name": f"host{place}"} for place in range(number)]}
    picture = topology.draw(shaped(Topology, told), width)
    boxes = [
        tuple(float(each.get(name) or 0) for name in ("x", "y", "width", "height"))
        for each in elements(picture, "rect")
    ]
    for place, (x, y, wide, high) in enumerate(boxes):
        assert x >= 0
        assert x + wide <= width
        assert y + high <= height(picture)
        for other_x, other_y, other_wide, other_high in boxes[place + 1 :]:
            apart = x + wide <= other_x or other_x + other_wide <= x
            assert apart or y + high <= other_y or other_y + other_high <= y


def test_connections_join_the_two_ends_with_the_same_four_numbers() -> None:
    data = shaped(list[Socket], documents.sockets())
    pairs = socket_drawing.pairs(data)
    assert [(client.local, client.peer) for client, _server in pairs if client] == [
        (server.peer, server.local) for _client, server in pairs
    ]
    assert len(pairs) == 2


def test_connection_whose_client_is_not_in_a_list_is_drawn_alone() -> None:
    data = [each for each in shaped(list[Socket], documents.sockets()) if each.host != "other"]
    assert [client is None for client, _server in socket_drawing.pairs(data)] == [False, True]
    assert "172.18.0.4:50114" in words(socket_drawing.draw(data, 900))


# --- sequences


def drawn(*going: Leg, back: tuple[Leg, ...] = ()) -> list[Markup]:
    return sequence.strips(sequence.of_messages(Picture(going, back), "udp"), "messages")


def test_lost_message_ends_in_a_cross_and_no_arrow() -> None:
    (picture,) = drawn(Leg(1, 0, 25 * MS), Leg(2, 10 * MS, None, Kind.LOST))
    assert len([each for each in elements(picture, "path") if each.get("class") == "s-lost"]) == 1
    assert len(elements(picture, "polygon")) == 1
    assert "×2" in words(picture)


def test_message_that_nobody_measured_is_no_lost_one() -> None:
    (picture,) = drawn(Leg(1, 0, 25 * MS), Leg(2, 10 * MS, None, Kind.UNKNOWN))
    assert [each for each in elements(picture, "path") if each.get("class") == "s-lost"] == []
    assert "?" in words(picture)


def test_overtaking_lines_cross() -> None:
    (picture,) = drawn(Leg(1, 0, 30 * MS, Kind.LATE), Leg(2, 10 * MS, 11 * MS))
    lines = {
        (each.find("{*}title").text or "").partition(":")[0]: each  # type: ignore[union-attr]  # it has one
        for each in elements(picture, "line")
        if each.find("{*}title") is not None
    }
    first, second = lines["message 1"], lines["message 2"]
    assert float(first.get("y1") or 0) < float(second.get("y1") or 0)
    assert float(first.get("y2") or 0) > float(second.get("y2") or 0)
    assert "1!" in words(picture)


def test_long_run_is_cut_into_strips_that_go_on_where_the_last_ended() -> None:
    legs = [Leg(number, number * 10 * MS, number * 10 * MS + 25 * MS) for number in range(200)]
    pictures = drawn(*legs)
    assert len(pictures) == 7
    numbers = [word for picture in pictures for word in words(picture)]
    assert all(numbers.count(str(leg.number)) >= 2 for leg in legs)  # it leaves, and it lands
    assert len({height(picture) for picture in pictures}) == 1


def test_time_in_which_nothing_is_on_its_way_is_cut_out_and_told() -> None:
    legs = [Leg(number, number * 10 * MS, number * 10 * MS + 5 * MS) for number in range(10)]
    late = [Leg(11, 3000 * MS, 3005 * MS)]
    (picture,) = drawn(*legs, *late)
    assert any("2.90 s" in word for word in words(picture))
    assert height(picture) < 400


def test_run_that_takes_an_hour_is_no_endless_page() -> None:
    legs = [Leg(number, number * 10**12, number * 10**12 + 5 * 10**11) for number in range(50)]
    assert sum(height(picture) for picture in drawn(*legs)) < 10_000


def test_very_many_messages_are_limited_and_told() -> None:
    legs = [Leg(number, number * MS, number * MS + MS // 2) for number in range(5000)]
    diagram = sequence.of_messages(Picture(legs, ()), "udp")
    assert (len(diagram.strokes), diagram.left_out) == (sequence.MOST, 5000 - sequence.MOST)


def test_nothing_sent_is_no_picture() -> None:
    assert drawn() == []


def test_labels_of_a_column_do_not_lie_on_each_other() -> None:
    legs = [Leg(number, number * MS // 100, 25 * MS + number * MS // 50) for number in range(40)]
    for picture in drawn(*legs, Leg(41, 1000 * MS, 1025 * MS)):
        places: dict[tuple[str, str], list[float]] = {}
        for each in elements(picture, "text"):
            key = (each.get("x") or "", each.get("text-anchor") or "")
            places.setdefault(key, []).append(float(each.get("y") or 0))
        for column in places.values():
            assert all(abs(a - b) >= sequence.SIZE for a, b in pairwise(column))


def segment(**changes: Any) -> Segment:
    told = {"from": "client", "left_ns": 0, "arrived_ns": 25 * MS, "sequence": 1001, "bytes": 64}
    told |= {"flags": ["ACK"], "again": False}
    return shaped(Segment, told | changes)


def test_segments_are_numbered_from_the_first_and_marked() -> None:
    diagram = sequence.of_segments(
        [
            segment(flags=["SYN"], bytes=0, sequence=1000),
            segment(left_ns=30 * MS, arrived_ns=None),
            segment(left_ns=60 * MS, arrived_ns=85 * MS, again=True),
            segment(left_ns=90 * MS, arrived_ns=91 * MS, **{"from": "server"}, bytes=0, sequence=7000),
        ]
    )
    assert [stroke.before for stroke in diagram.strokes] == ["SYN", "×1", "1↻", ""]
    assert [stroke.leftwards for stroke in diagram.strokes] == [False, False, False, True]
    assert len({stroke.look for stroke in diagram.strokes}) == 4  # told apart without reading
    assert (
        len({(stroke.look.dash, stroke.look.width) for stroke in diagram.strokes}) == 4
    )  # and without colour


def test_segment_that_was_captured_at_its_destination_alone_is_drawn_as_not_measured() -> None:
    diagram = sequence.of_segments([segment(), segment(left_ns=None, arrived_ns=40 * MS, sequence=1065)])
    stroke = diagram.strokes[1]
    assert (stroke.leaves, stroke.lands, stroke.look) == (40 * MS, 40 * MS, sequence.LOOKS[Kind.UNKNOWN])
    assert stroke.before == "64"
    assert "not captured where it left" in stroke.title


def test_segment_that_was_captured_nowhere_is_refused() -> None:
    with pytest.raises(ValueError, match="expected left_ns or arrived_ns, got neither"):
        segment(left_ns=None, arrived_ns=None)
