"""The page that frog table --html makes: it needs nothing else, says all, and its tables can be sorted."""

from __future__ import annotations

import base64
import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from frog_cli.reproduction import stored_rows, targets
from frog_cli.reproduction.claims import (
    beyond,
    multi_tangent,
    multi_tangent_cones,
    multi_tangent_networks,
    second_order,
    second_order_networks,
)
from frog_cli.reproduction.progress import Hours
from frog_cli.reproduction.report import write
from frog_cli.reproduction.report_content import AtScale, ClaimVerdict, Part, Report, Section, Table
from frog_cli.reproduction.report_html import html, inline
from frog_cli.reproduction.targets import Target, Work
from tests.browser import look, needs_chromium
from tests.reproduction.made_up_rows import row

RESULTS = Path(__file__).parents[2] / "results"
PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)
FIG5 = targets.load("fig5")
VOID = {"meta", "link", "img"}
HOSTILE = """<script>document.title = "broken"</script> & "a" < 'b'"""


class Page(HTMLParser):
    """What a page has: attributes by tag, the text of each tag, and whether each tag is closed."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.texts.setdefault(tag, []).append("")
        self.open += [] if tag in VOID else [tag]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        for tag in {*self.open}:
            self.texts[tag][-1] += data

    def values(self, name: str) -> list[tuple[str, str]]:
        """Return the values of an attribute, each behind its tag."""
        return [(tag, value) for tag, found in self.tags if (value := found.get(name)) is not None]


def made_up(table: Table, title: str = "A title", remarks: str = "", picture: Path | None = None) -> Report:
    """Return a report of one target."""
    target = Target(name="mine", title=title, source="arXiv 2410.17764", paper=Work(), smoke=Work(), remarks=remarks)
    section = Section(target, "none", [AtScale("paper", 3, 1, Hours(2.0, None), picture, [table])])
    claims = [ClaimVerdict("It works.", "frog", True, "holds: 3 < 4"), ClaimVerdict("No.", "frog", None, "not run yet")]
    return Report([section], [Part("What is claimed", claims, [section])])


@pytest.fixture
def results(place):
    """Return a folder with some rows of one target, and its picture."""
    job = targets.jobs(FIG5, "paper")[0]
    stored_rows.add(FIG5, "paper", "runs", [row(job.words, seed, "best_value", -seed) for seed in range(5)])
    (place / "fig5.png").write_bytes(PICTURE)
    return place


def test_the_page_needs_nothing_else_and_says_all(results):
    markdown, path = write(results, with_html=True)
    assert (markdown, path) == (results / "README.md", results / "index.html")
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert page.values("src") == [("img", f"data:image/png;base64,{base64.b64encode(PICTURE).decode()}")]
    leading = [(tag, value) for tag, value in page.values("href") if not value.startswith("#")]
    assert {value for tag, value in leading if tag == "a"} == {
        "https://arxiv.org/abs/2410.17764", "https://arxiv.org/abs/2408.10419"
    }  # fmt: skip
    assert [(tag, value) for tag, value in leading if tag != "a"] == [("link", "data:,")]
    assert not re.search(r"url\(|@import|fetch\(|import\(", "".join(page.texts["style"] + page.texts["script"]))

    ids = [value for _, value in page.values("id")]
    assert len(set(ids)) == len(ids)
    within = {value[1:] for _, value in page.values("href") if value.startswith("#")}
    assert within == {*ids} == {"Overview", "What-the-papers-claim", "Beyond-the-papers", *targets.names()}
    cells, paragraphs = page.texts["td"], page.texts["p"]
    of_first = (*multi_tangent.CLAIMS, *multi_tangent_cones.CLAIMS, *multi_tangent_networks.CLAIMS)
    of_second = (*second_order.CLAIMS, *second_order_networks.CLAIMS)
    for claim in (*of_first, *of_second, *beyond.CLAIMS):
        assert cells[cells.index(claim.text) + 1] == claim.source
        assert cells[cells.index(claim.text) + 2].split(":")[0] in {"holds", "does not hold as stated", "not run yet"}
    for name in targets.names():
        target = targets.load(name)
        assert f"{target.title} ({target.source})." in paragraphs
        assert not target.remarks or target.remarks.strip() in paragraphs
        assert cells[cells.index(name) + 1] == target.source
        assert page.texts["h3"].count(name) == 1
    start = cells.index("fig5")
    assert cells[start + 2 : start + 4] == ["5", "116"]
    start = cells.index(targets.jobs(FIG5, "paper")[0].words)
    assert cells[start + 1 : start + 7] == ["5", "0", "0", "-2", "-4", "0"]


def test_equal_rows_give_equal_bytes_wherever_and_whenever(results, tmp_path, monkeypatch):
    _, path = write(results, with_html=True)
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(results, elsewhere)
    (elsewhere / "index.html").unlink()
    for file in elsewhere.rglob("*"):
        os.utime(file, (0, 0))
    monkeypatch.setenv("FROG_RESULTS", str(elsewhere))
    _, again = write(elsewhere, with_html=True)
    assert again.read_bytes() == path.read_bytes()


def test_what_would_be_html_is_text(tmp_path):
    picture = tmp_path / "mine.png"
    picture.write_bytes(PICTURE)
    table = Table("mine.csv", 1, False, [HOSTILE], [[HOSTILE]])
    text = html(made_up(table, HOSTILE, f"{HOSTILE} of `a < b`", picture))
    page = Page(text)
    assert len(page.texts["script"]) == 1  # the page's own
    assert HOSTILE not in text
    assert page.texts["td"][-1] == page.texts["th"][-1] == HOSTILE
    assert [value for _, value in page.values("alt")] == [HOSTILE]
    assert f"{HOSTILE} (arXiv 2410.17764)." in page.texts["p"]
    assert "a < b" in page.texts["code"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$g_v$, k = 1", "<i>g<sub>v</sub></i>, k = 1"),
        ("of $v_{12}$ and $x^2$", "of <i>v<sub>12</sub></i> and <i>x<sup>2</sup></i>"),
        ("`a_b=$c` costs 3$ or 4$", "<code>a_b=$c</code> costs 3$ or 4$"),
        ("normalised_cone, 3 < 4", "normalised_cone, 3 &lt; 4"),
        ("see arXiv 2410.17764, IV", 'see <a href="https://arxiv.org/abs/2410.17764">arXiv 2410.17764</a>, IV'),
    ],
)
def test_marks_in_texts(text, expected):
    assert inline(text) == expected


def test_long_tables_wait_until_asked_for_and_tables_without_results_are_only_named():
    rows = [[str(number), "missing"] for number in range(61)]
    page = Page(html(made_up(Table("long.csv", 264, True, ["k", "value"], rows))))
    assert page.texts["summary"] == ["Table: long.csv, 264 rows. 61 of them are not empty:"]
    assert page.texts["details"][0].count("missing") == 61
    page = Page(html(made_up(Table("short.csv", 60, False, ["k", "value"], rows[:60]))))
    assert "details" not in page.texts
    assert page.texts["td"].count("missing") == 60
    page = Page(html(made_up(Table("empty.csv", 9, False, [], []))))
    assert "Table: empty.csv, 9 rows." in page.texts["p"]
    assert len(page.texts["table"]) == 3  # verdicts, overview and claims


SORT = """
async function look() {
  const page = await open("index.html"), table = page.querySelector("#mine table"), found = {};
  const column = index => [...table.tBodies[0].rows].map(row => row.cells[index].textContent);
  for (const [index, head] of [...table.tHead.rows[0].cells].entries()) {
    const button = head.querySelector("button"), states = [];
    button.focus();
    const focused = page.activeElement === button;
    for (let click = 0; click < 3; click++) {
      button.click();
      states.push([head.getAttribute("aria-sort"), column(index)]);
    }
    found[head.textContent] = {focused, states};
  }
  table.querySelector("button").click();
  table.querySelectorAll("button")[1].click();
  const sorted = [...table.querySelectorAll("[aria-sort]")].map(head => head.textContent);
  const box = table.parentElement, root = page.documentElement;
  return {
    found, sorted, title: page.title, tooWide: root.scrollWidth - root.clientWidth,
    box: [box.clientWidth < 400, box.scrollWidth > 1000, getComputedStyle(box).overflowX],
  };
}
"""


@needs_chromium
def test_a_browser_sorts_tables_whose_width_stays_in_their_box(tmp_path):
    numbers = ["10", "missing", "9", "1e-05", "", "-inf", "2.5", "inf", "nan", "curvature"]
    words = ["k=16", "k=2", "b", "a", "missing", "c", "d", "e", "f", "g"]
    wide = [f"column {index}" for index in range(30)]
    rows = [[number, word, *["1.234e-05"] * 30] for number, word in zip(numbers, words, strict=True)]
    table = Table("mine.csv", 10, False, ["number", "word", *wide], rows)
    (tmp_path / "index.html").write_text(html(made_up(table, HOSTILE)), encoding="utf-8")
    seen = look(tmp_path, SORT, tmp_path / "profile")
    last = ["missing", "", "nan"]  # as they were, whichever way
    assert seen.found["found"]["number"] == {"focused": True, "states": [
        ["ascending", ["-inf", "1e-05", "2.5", "9", "10", "inf", "curvature", *last]],
        ["descending", ["inf", "10", "9", "2.5", "1e-05", "-inf", "curvature", *last]],
        [None, numbers],
    ]}  # fmt: skip
    assert seen.found["found"]["word"] == {"focused": True, "states": [
        ["ascending", ["a", "b", "c", "d", "e", "f", "g", "k=2", "k=16", "missing"]],
        ["descending", ["k=16", "k=2", "g", "f", "e", "d", "c", "b", "a", "missing"]],
        [None, words],
    ]}  # fmt: skip
    assert seen.found["sorted"] == ["word"]
    assert seen.found["title"] == "Results of frog"
    assert (seen.found["tooWide"], seen.found["box"]) == (0, [True, True, "auto"])
    assert seen.console == []
    assert sorted({*seen.requested}) == ["/check.html", "/index.html"]


WIDTH = """
async function look() {
  const page = await open("index.html");
  page.querySelectorAll("details").forEach(one => one.open = true);
  const sizes = [...page.images].map(one => [one.naturalWidth > 0, one.width <= 400]);
  const root = page.documentElement;
  return {tooWide: root.scrollWidth - root.clientWidth, heads: page.querySelectorAll("th").length, sizes};
}
"""


@needs_chromium
@pytest.mark.slow
def test_the_page_of_our_results_fits_a_telephone_and_shows_each_picture(tmp_path, monkeypatch):
    results = tmp_path / "results"
    shutil.copytree(RESULTS, results)
    monkeypatch.setenv("FROG_RESULTS", str(results))
    write(results, with_html=True)
    seen = look(results, WIDTH, tmp_path / "profile")
    assert seen.found["tooWide"] == 0
    pictures = [*results.glob("*.png"), *(results / "laptop").glob("*.png")]
    assert seen.found["sizes"] == [[True, True]] * len(pictures)
    assert seen.found["heads"] > 100
    assert seen.console == []
    assert sorted({*seen.requested}) == ["/check.html", "/index.html"]
