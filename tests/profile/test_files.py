"""The files of a profile have all its instructions, whatever the names and however deep the calls."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from sandbox.profile import CallTree, Frame, FrameKind, Profile
from sandbox.profile.files import DEEPER, MOST_DEEP
from sandbox.profile.flame_graph import MOST_ROWS

SVG = "{http://www.w3.org/2000/svg}"
UPDATE = Frame("update go", FrameKind.ENTRY, canister="aaaaa-aa")
MAIN, SORT, REPLY = Frame("main"), Frame("sort<u8; 4>", index=1), Frame("[ic0.msg_reply]", FrameKind.SYSTEM, index=2)


def profile() -> Profile:
    """`main` calls `sort`, which calls itself, and replies."""
    made = Profile()
    nodes = [(-1, UPDATE, 0, 1), (0, MAIN, 30, 1), (1, SORT, 20, 2), (2, SORT, 7, 3), (1, REPLY, 500, 1)]
    made.add(nodes, [MAIN, SORT, REPLY])
    return made


def deep(levels: int) -> Profile:
    """A chain of calls, each with one instruction of its own."""
    made = Profile()
    nodes = [(-1, UPDATE, 0, 1), *((k, Frame(f"f{k}", index=k), 1, 1) for k in range(levels))]
    made.add(nodes, [])
    return made


def test_a_recursion_counts_once_with_its_children() -> None:
    costs = {cost.name: (cost.own, cost.total, cost.calls) for cost in profile().functions()}
    assert costs == {
        "[ic0.msg_reply]": (500, 500, 1),
        "main": (30, 557, 1),
        "sort<u8; 4>": (27, 27, 5),
    }
    assert [(cost.name, cost.total) for cost in profile().entry_points()] == [("update go", 557)]


def test_folded_lines_are_call_paths() -> None:
    assert profile().folded() == (
        "update go;main 30\nupdate go;main;[ic0.msg_reply] 500\nupdate go;main;sort<u8, 4> 20\n"
        "update go;main;sort<u8, 4>;sort<u8, 4> 7\n"
    )


def test_speedscope_events_nest_and_end_at_the_total() -> None:
    document = json.loads(profile().speedscope())
    (made,) = document["profiles"]
    names = [frame["name"] for frame in document["shared"]["frames"]]
    assert (made["startValue"], made["endValue"], made["unit"]) == (0, 557, "none")
    stack: list[int] = []
    own = dict.fromkeys(names, 0)
    at = 0
    for event in made["events"]:
        if stack:
            own[names[stack[-1]]] += event["at"] - at
        at = event["at"]
        if event["type"] == "O":
            stack.append(event["frame"])
        else:
            assert stack.pop() == event["frame"]
    assert stack == []
    assert own == {"update go": 0, "main": 30, "[ic0.msg_reply]": 500, "sort<u8; 4>": 27}


def test_the_flame_graph_has_a_box_for_each_path_as_wide_as_its_instructions() -> None:
    text = profile().flame_graph()
    drawing = ElementTree.fromstring(text)
    boxes: dict[str, list[tuple[float, str]]] = {}
    for group in drawing.iter(f"{SVG}g"):
        title, box = group.find(f"{SVG}title"), group.find(f"{SVG}rect")
        assert title is not None
        assert title.text is not None
        assert box is not None
        boxes.setdefault(title.text.splitlines()[0], []).append((float(box.attrib["width"]), title.text))
    whole = boxes["all"][0][0]
    assert boxes["main"][0][0] == pytest.approx(whole)
    assert boxes["[ic0.msg_reply]"][0][0] == pytest.approx(whole * 500 / 557, abs=0.01)
    assert boxes["sort<u8; 4>"][0][1] == "sort<u8; 4>\n27 instructions (4.85 %), 20 of its own\n2 calls"
    assert "<script" not in text
    assert "href" not in text


def test_names_of_a_module_cannot_become_markup() -> None:
    made = Profile()
    name = '</title><script>alert("x")</script>\x00\x1b;\n'
    made.add([(-1, UPDATE, 0, 1), (0, Frame(name), 9, 1)], [])
    drawing = ElementTree.fromstring(made.flame_graph())
    assert {part.tag for part in drawing.iter()} == {
        SVG + tag for tag in ("svg", "style", "text", "rect", "g", "title")
    }
    (line,) = made.folded().splitlines()
    assert line.count(";") == 1
    assert line.endswith(" 9")


def test_a_very_deep_stack_is_written_in_all_formats(tmp_path: Path) -> None:
    levels = 20_000
    made = deep(levels)
    lines = made.folded().splitlines()
    assert sum(int(line.rpartition(" ")[2]) for line in lines) == levels
    assert len(lines) == MOST_DEEP
    assert lines[-1].endswith(f"f{MOST_DEEP - 2};{DEEPER} {levels - MOST_DEEP + 1}")
    assert json.loads(made.speedscope())["profiles"][0]["endValue"] == levels
    drawing = ElementTree.fromstring(made.flame_graph())
    assert len(list(drawing.iter(f"{SVG}g"))) == MOST_ROWS
    assert "20,000 instructions, the outermost 200 calls of each path" in {
        text.text for text in drawing.iter(f"{SVG}text")
    }
    assert made.functions()[0].total == levels


def test_an_empty_profile_is_written_in_all_formats(tmp_path: Path) -> None:
    made = Profile()
    for ending in (".svg", ".folded", ".speedscope.json"):
        made.save(tmp_path / f"empty{ending}")
        assert (tmp_path / f"empty{ending}").exists()
    assert made.functions() == []
    assert made.instructions == 0


def test_the_ending_of_a_name_says_the_format(tmp_path: Path) -> None:
    made = profile()
    made.save(str(tmp_path / "a.folded"))
    assert (tmp_path / "a.folded").read_text() == made.folded()
    with pytest.raises(ValueError, match=r"ends in \.svg, \.folded, \.speedscope\.json, not 'a\.json'"):
        made.save(tmp_path / "a.json")
    assert not (tmp_path / "a.json").exists()


def test_trees_of_several_executions_are_merged_by_path() -> None:
    tree = CallTree()
    for own in (3, 4):
        tree.add([(-1, UPDATE, 0, 1), (0, MAIN, own, 1)])
    assert (tree.frames[1:], tree.own, tree.calls) == ([UPDATE, MAIN], [0, 0, 7], [0, 2, 2])
