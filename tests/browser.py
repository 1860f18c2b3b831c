"""A browser without a window, which looks at pages that are served to it."""

from __future__ import annotations

import functools
import http.server
import json
import re
import shutil
import subprocess
import threading
from html import unescape
from pathlib import Path
from typing import Any, NamedTuple

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium, as from Debian's packages")

TELLING = """<!DOCTYPE html><meta charset="utf-8"><link rel="icon" href="data:,"><body><script>
async function open(page) {
  const frame = document.createElement("iframe");
  frame.style = "width: 400px; height: 800px; border: 0";
  const loaded = new Promise(done => frame.onload = done);
  frame.src = page;
  document.body.append(frame);
  await loaded;
  await new Promise(done => setTimeout(done, 300));
  return frame.contentDocument;
}
SCRIPT
look().then(found => {
  const told = document.createElement("pre");
  told.id = "told";
  told.textContent = JSON.stringify(found);
  document.body.replaceChildren(told);
});
</script>"""


class Seen(NamedTuple):
    """What a browser saw."""

    found: Any  # what the script's look() returned
    console: list[str]  # its lines
    requested: list[str]  # paths

    @property
    def errors(self) -> list[str]:
        """Return the lines of the console that tell of an error."""
        return [line for line in self.console if re.search("rror|Uncaught|Failed|Refused|violate", line)]


class Server(http.server.SimpleHTTPRequestHandler):
    """Serves files, and says nothing of it but which."""

    def __init__(self, *arguments, requested: list[str], **more):
        self.requested = requested
        super().__init__(*arguments, **more)

    def log_request(self, *about):
        """Note what was asked for."""
        self.requested.append(self.path)

    def log_message(self, *about):
        """Say nothing."""


def look(folder: Path, script: str, profile: Path) -> Seen:
    """Let a browser look at pages in a folder, each 400 pixels wide.

    The script defines an asynchronous look(), and may call open(page), which gives the document of a page.
    """
    (folder / "check.html").write_text(TELLING.replace("SCRIPT", script))
    requested: list[str] = []
    handler = functools.partial(Server, directory=str(folder), requested=requested)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        command = [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}", "--dump-dom",
            "--enable-logging=stderr", "--virtual-time-budget=60000",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            f"http://127.0.0.1:{server.server_port}/check.html",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    finally:
        server.shutdown()
        server.server_close()
        (folder / "check.html").unlink()
    told = re.search(r'<pre id="told">(.*?)</pre>', done.stdout, re.DOTALL)
    assert told is not None, done.stderr[-2000:]
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return Seen(json.loads(unescape(told[1])), console, requested)
