"""The site of docs/, as a browser sees it: no broken link, no error, and nothing wider than a telephone."""

from __future__ import annotations

import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

CHECK = """<!DOCTYPE html><meta charset="utf-8"><body><script>
const pages = PAGES, wide = [], broken = [];
const documents = {};
async function look(page) {
  const frame = document.createElement("iframe");
  frame.style = "width: 400px; height: 800px; border: 0";
  const loaded = new Promise(done => frame.onload = done);
  frame.src = page;
  document.body.append(frame);
  await loaded;
  await new Promise(done => setTimeout(done, 300));
  const root = frame.contentDocument.documentElement;
  if (root.scrollWidth > 400) wide.push(page + " is " + root.scrollWidth);
  documents[new URL(page, location).pathname] = frame.contentDocument;
  const links = [...root.querySelectorAll("a[href], img[src], link[href], script[src]")];
  const found = links.map(one => one.href || one.src).filter(one => one.startsWith(location.origin));
  return [page, found];
}
(async () => {
  const all = [];
  for (const page of pages) all.push(await look(page));
  const known = {};
  for (const [page, links] of all) for (const link of new Set(links)) {
    const url = new URL(link);
    if (!(url.pathname in known)) known[url.pathname] = (await fetch(url.pathname, {method: "HEAD"})).ok;
    const id = decodeURIComponent(url.hash.slice(1)), there = documents[url.pathname];
    if (!known[url.pathname] || (id && there && !there.getElementById(id))) broken.push(page + " -> " + link);
  }
  const told = document.createElement("pre");
  told.id = "told";
  told.textContent = JSON.stringify({pages: pages.length, wide, broken});
  document.body.replaceChildren(told);
})();
</script>"""


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


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing of it."""

    def log_message(self, *about):
        """Say nothing."""


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium, as from Debian's packages")
def test_a_browser_finds_no_broken_link_no_error_and_nothing_too_wide(site, tmp_path):
    (site / "check.html").write_text(CHECK.replace("PAGES", json.dumps(pages(site))))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        command = [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}", "--dump-dom",
            "--enable-logging=stderr", "--virtual-time-budget=60000",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            f"http://127.0.0.1:{server.server_port}/check.html",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    finally:
        server.shutdown()
        server.server_close()
        (site / "check.html").unlink()
    told = re.search(r'<pre id="told">(.*?)</pre>', done.stdout, re.DOTALL)
    assert told is not None, done.stderr[-2000:]
    found = json.loads(told[1].replace("&gt;", ">").replace("&amp;", "&"))
    assert found == {"pages": len(pages(site)), "wide": [], "broken": []}
    assert [
        line for line in done.stderr.splitlines() if "CONSOLE" in line and re.search("rror|Uncaught|Failed", line)
    ] == []


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
