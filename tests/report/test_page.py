"""A report of a run at any moment: one page that holds together, gives nothing away early and lets no text be markup."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sia_tui.cli.main import main
from sia_tui.core.stats import Estimate
from sia_tui.core.text import clean
from sia_tui.report import html, markdown, svg
from sia_tui.report.blocks import Code, Figure, Page, Section, Table, Words
from sia_tui.store import drawn
from sia_tui.store.workspace import Workspace
from tests.tui.runs import Scene, make_run

pytestmark = pytest.mark.xdist_group("report")
SCENES: tuple[Scene, ...] = ("fresh", "training", "both_done", "done")
PLAIN = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "table", "tr", "th", "td", "pre"} | {
    "details",
    "summary",
    "figure",
    "figcaption",
    *("svg", "text", "line", "polyline", "circle", "rect"),
}


class Reader(HTMLParser):
    """Every tag with its attributes, and all text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return "\n".join(self.texts)


def written(tmp_path: Path, scene: Scene, capsys: pytest.CaptureFixture[str]) -> tuple[Reader, str]:
    root = Workspace(tmp_path / "w").runs / "sql-repair-07"
    make_run(root, scene)
    if scene == "done":
        drawn.write(root, drawn.Drawn(4321, "AB", Estimate(0.123, 0.1, 0.15, 40), Estimate(0.987, 0.9, 1.0, 40)))
    out = tmp_path / "out"
    assert main(["report", "sql-repair-07", "--workspace", str(tmp_path / "w"), "--out", str(out), "--json"]) == 0
    files = json.loads(capsys.readouterr().out)["files"]
    assert files == [str(out / "report.html"), str(out / "report.md")]
    assert sorted(path.name for path in out.iterdir()) == ["report.html", "report.md"]
    return Reader((out / "report.html").read_text("utf-8")), (out / "report.md").read_text("utf-8")


@pytest.mark.parametrize("scene", SCENES)
def test_at_any_moment_it_is_one_harmless_page(
    scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, text = written(tmp_path, scene, capsys)
    assert {tag for tag, _ in page.tags} <= PLAIN
    named = {name for _, attributes in page.tags for name in attributes}
    assert not named & {"src", "href", "style", "srcset"} and not any(name.startswith("on") for name in named)
    assert "\x1b" not in page.text + text and "\u202e" not in page.text + text
    over = scene == "done"
    assert ("The run is not over" in page.text) != over
    for told in (page.text, text):
        assert ("n = 797" in told) == over and ("n = 913" in told) == over, "hidden and test are for the end"
    assert ("hidden |" in next((line for line in text.splitlines() if line.startswith("|  | lever |")), "")) == over
    assert "old harness  31.0 %" in page.text or scene != "both_done"
    for section in ("What was tried", "Integrity", "Cost", "How to reproduce it", "Which lever"):
        assert section in page.text and f"## {section}" in text


def test_it_tells_what_was_tried_by_whom_and_what_it_rests_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, text = written(tmp_path, "done", capsys)
    for said in (
        "The patch has 2 hunks, measured together, so which case came through which is not known",
        "All of it came through the new weights.",
        "ana: not now",
        "This run opened its test set for g3",
        "The hidden split was measured 3 times in the run",
        "Not as recorded: config",
        "sia-tui reproduce sql-repair-07 g3",
        "g2 rolled back",
        "+9.2",
        "the best of them 20",
        "best of 4321",
        "12.3",
    ):
        assert said in page.text, said
    assert "no step" in page.text, "drawing alone has its place on the axis"
    assert "restore it" in page.text, "data that is not there is not fetched for a look"
    assert re.search(r"\| p-\w+ \| amber \| more tokens \| .* \| ana, 2026", text)


@pytest.mark.parametrize(
    "junk", ["", "[]", '{"rollouts": 3}', '{"rollouts": "x", "told": "", "dev": null, "hidden": null}']
)
def test_what_is_no_best_of_n_is_left_out(tmp_path: Path, junk: str) -> None:
    (tmp_path / "best-of-n.json").write_text(junk)
    assert drawn.read(tmp_path) is None


ANY = st.text(st.characters(codec="utf-8") | st.sampled_from("<>&\"'`|*_[]()#!\\\n"), max_size=60)


def pages(text: str) -> Iterator[Page]:
    picture = svg.draw(svg.Chart([svg.Series(text, [svg.Point(0, 0.5)])], [(text, 0.2)], lambda _: text))
    table = Table((text,), [(text,)])
    for block in (Words(text), table, Code(text, text), Figure(text, picture, table)):
        yield Page("p", (Section("s", (block,)),))


@settings(max_examples=25)
@given(ANY)
def test_no_text_is_markup_in_html(text: str) -> None:
    for page in pages(text):
        found = Reader(html.draw(page))
        assert {tag for tag, _ in found.tags} <= PLAIN
        assert "".join(clean(text).split()) in "".join("".join(found.texts).split())


@settings(max_examples=25)
@given(ANY)
def test_no_text_is_markup_in_markdown(text: str) -> None:
    for block in (Words(text), Table((text,), [(text, text)])):
        lines = markdown.draw(Page("p", (Section("s", (block,)),))).splitlines()[4:]
        told = "\n".join(lines).replace("|---|", "")
        bare = re.sub(r"\\.", "", told)
        assert not set("`*_[]<>&$~!#") & set(bare)
        assert bare.count("|") == (0 if isinstance(block, Words) else 2 + 3)


@given(st.text(st.sampled_from("`a\n~"), max_size=30))
def test_a_fence_is_longer_than_any_in_its_text(text: str) -> None:
    lines = markdown.draw(Page("p", (Section("s", (Code("t", text),)),))).splitlines()
    fences = [line for line in lines if re.fullmatch("`{3,}", line)]
    assert fences[0] == fences[-1] and lines.count(fences[0]) == 2


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(0, 1), st.floats(0, 0.3)), min_size=1, max_size=20))
def test_marks_lie_inside_the_picture(points: list[tuple[int, float, float]]) -> None:
    series = svg.Series("dev", [svg.Point(x, y, max(0.0, y - half), y + half) for x, y, half in points], line=False)
    found = Reader(svg.draw(svg.Chart([series], [("null", 0.4)])))
    for tag, attributes in found.tags:
        if tag == "circle":
            assert 0 < float(attributes["cx"] or 0) < svg.WIDTH
            assert svg.TOP <= float(attributes["cy"] or 0) <= svg.TOP + svg.PLOT
