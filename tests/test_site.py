"""The site of docs/, as a browser sees it: no broken link, no error, and nothing wider than a telephone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.browser import look, needs_chromium

ROOT = Path(__file__).parents[1]

LOOK = """
const pages = PAGES, wide = [], broken = [], documents = {};
async function linksOf(page) {
  const found = documents[new URL(page, location).pathname] = await open(page), root = found.documentElement;
  if (root.scrollWidth > 400) wide.push(page + " is " + root.scrollWidth);
  const links = [...root.querySelectorAll("a[href], img[src], link[href], script[src]")];
  return [page, links.map(one => one.href || one.src).filter(one => one.startsWith(location.origin))];
}
async function look() {
  const all = [];
  for (const page of pages) all.push(await linksOf(page));
  const known = {};
  for (const [page, links] of all) for (const link of new Set(links)) {
    const url = new URL(link);
    if (!(url.pathname in known)) known[url.pathname] = (await fetch(url.pathname, {method: "HEAD"})).ok;
    const id = decodeURIComponent(url.hash.slice(1)), there = documents[url.pathname];
    if (!known[url.pathname] || (id && there && !there.getElementById(id))) broken.push(page + " -> " + link);
  }
  return {pages: pages.length, wide, broken};
}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """Build the site, which stops at any warning."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def pages(site: Path) -> list[str]:
    return sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html") if path.name != "404.html")


@needs_chromium
def test_a_browser_finds_no_broken_link_no_error_and_nothing_too_wide(site, tmp_path):
    seen = look(site, LOOK.replace("PAGES", json.dumps(pages(site))), tmp_path)
    assert seen.found == {"pages": len(pages(site)), "wide": [], "broken": []}
    assert seen.errors == []


def test_every_question_of_a_new_user_is_two_clicks_away(site):
    """Own network, own sampler, cluster, library with second order, all options."""
    answers = {
        "ideas.html": ["ideas.model", "ideas.tangents"],
        "clusters.html": ["frog submit"],
        "library.html": ["estimate_from_weights"],
        "reference.html": ["estimate_second_order", "measure_second_order"],
        "options.html": ["gradient.measure=forward", "keep_weights=true", "search.evaluations"],
    }
    home = (site / "index.html").read_text(encoding="utf-8")
    for page, words in answers.items():
        assert f'href="{page}"' in home, page
        text = (site / page).read_text(encoding="utf-8")
        plain = re.sub(r"<[^>]+>", "", text)
        for word in words:
            assert word in plain, (page, word)
