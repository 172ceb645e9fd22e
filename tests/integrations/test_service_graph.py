import subprocess
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest

from foundation.errors import NotFound, Unavailable
from integrations.service import Service, load_services
from integrations.service_graph import Format, dot, draw, format_of
from tests.integrations.definition_texts import DEFINITIONS

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def shop() -> Service:
    return load_services([DEFINITIONS]).get("shop_licence")


def texts(picture: bytes) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(picture).iter(f"{SVG}text")]


def titles(picture: bytes, kind: str) -> list[str]:
    """Names of the boxes ("node") or arrows ("edge") of a picture."""
    groups = ElementTree.fromstring(picture).iter(f"{SVG}g")
    found = (group.find(f"{SVG}title") for group in groups if group.get("class") == kind)
    return [title.text or "" for title in found if title is not None]


def test_every_state_and_every_step_of_every_procedure_is_drawn() -> None:
    for service in load_services([DEFINITIONS]).items():
        for name in service.procedures:
            flow = service.flow_of(name)
            picture = draw(service, name)
            assert set(titles(picture, "node")) == {"begin", *flow.states}
            said = " ".join(texts(picture)).replace("\u00a0", " ")
            steps = [(state, action) for action in flow.actions for state in action.from_ or ("begin",)]
            # Many that lead from a state to itself stand in its box.
            staying = Counter(state for state, action in steps if state == action.to)
            inside = [each for each in steps if each[0] == each[1].to and staying[each[0]] > 2]
            arrows = [f"{state}->{action.to}" for state, action in steps if (state, action) not in inside]
            assert sorted(titles(picture, "edge")) == sorted(arrows)
            assert [action.name for _, action in inside if action.title.en not in said] == []


def test_titles_stand_in_arabic_letters_as_written_and_in_english(shop: Service) -> None:
    said = texts(draw(shop, "issue"))
    for state in shop.flow_of("issue").states.values():
        assert state.title.ar in said
        assert state.title.en in said
    assert {"إصدار رخصة محل تجاري", "Issue of a shop licence", "قبول", "Approve"} <= set(said)


def test_who_acts_on_what_condition_and_until_when_is_said(shop: Service) -> None:
    said = " ".join(texts(draw(shop, "issue"))).replace("\u00a0", " ")
    for words in (
        "[activity.immediate = true or approve done]",
        "◷ 5 working days, then shown to Supervisor",
        "◷ by the clock",
        "service centre / kiosk",
        "documents complete",
    ):
        assert words in said


def test_what_the_clock_does_is_dashed_and_nothing_else(shop: Service) -> None:
    groups = ElementTree.fromstring(draw(shop, "issue")).iter(f"{SVG}g")
    dashed = set()
    for group in groups:
        title, path = group.find(f"{SVG}title"), group.find(f"{SVG}path")
        if (
            group.get("class") == "edge"
            and title is not None
            and path is not None
            and path.get("stroke-dasharray")
        ):
            dashed.add(title.text)
    timed = [action for action in shop.flow_of("issue").actions if action.timed]
    assert dashed == {f"{state}->{action.to}" for action in timed for state in action.from_}


def test_signs_of_xml_in_a_title_are_letters(shop: Service) -> None:
    content = shop.content | {"title": {"ar": "رخصة <&>", "en": 'Shops & "stalls" <all>'}}
    assert 'Shops & "stalls" <all>, version 2' in " ".join(
        texts(draw(Service.model_validate(content), "issue"))
    ).replace("\u00a0", " ")


@pytest.mark.parametrize(("output", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("dot", b"digraph")])
def test_pictures_come_in_other_formats(shop: Service, output: Format, start: bytes) -> None:
    assert draw(shop, "renew", output).startswith(start)


def test_the_format_is_the_ending_of_the_name() -> None:
    assert [format_of(Path(name)) for name in ("a.svg", "b.PNG", "c.pdf", "d.dot", "e.txt")] == [
        "svg", "png", "pdf", "dot", None,
    ]  # fmt: skip


def test_the_text_is_graphvizs_own(shop: Service) -> None:
    # The same picture twice, and one that graphviz can read: the text may be kept and compared.
    text = dot(shop, "issue")
    assert text == dot(shop, "issue")
    read = subprocess.run(("dot", "-Tcanon"), input=text.encode(), capture_output=True, check=True)
    assert b"under_review" in read.stdout


def test_an_unknown_procedure_is_answered_with_the_known_ones(shop: Service) -> None:
    with pytest.raises(NotFound, match="Known: issue"):
        draw(shop, "isue")


def test_a_missing_dot_is_one_clear_error(
    shop: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match=r"dot is not installed.*script/bootstrap"):
        draw(shop, "issue")
    # The text needs no program.
    assert draw(shop, "issue", "dot").startswith(b"digraph")
