"""What the site has beside the pages in this folder: the README, all options, results, and formulas as MathML."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.structure.files import File, Files

from frog_cli import cli

ROOT = Path(__file__).parents[1]
OF_RESULTS = ".md", ".png", ".csv"


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that stand elsewhere or nowhere, and the results with their pictures and tables."""
    readme, changelog = (
        (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](") for name in ("README.md", "CHANGELOG.md")
    )
    for name, text in (("index.md", readme), ("changelog.md", changelog), ("options.md", options())):
        files.append(File.generated(config, name, content=text))
    for path in sorted((ROOT / "results").rglob("*")):
        deep = {"bench", "laptop"} & {*path.parts}  # other folders have rows, which no page links to
        if path.suffix in OF_RESULTS and len(path.relative_to(ROOT).parts) <= (3 if deep else 2):
            files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, **about: Any) -> str:
    """Let links to the results lead to where the site has them, and write formulas as browsers show them."""
    del about
    if "/" not in page.file.src_uri:
        markdown = markdown.replace("](../results/", "](results/")
    parts = re.split(r"(```.*?```|`[^`\n]*`)", markdown, flags=re.DOTALL)  # code stays as it is
    return "".join(part if index % 2 else formulas(part) for index, part in enumerate(parts))


def formulas(text: str) -> str:
    """Return a text with its formulas, between dollars, as MathML."""
    text = re.sub(r"\$\$(.+?)\$\$", lambda found: _wide(found[1].strip()), text, flags=re.DOTALL)
    return re.sub(r"(?<![\\$\w])\$([^$\n]+?)\$", lambda found: convert(found[1]), text)


def _wide(formula: str) -> str:
    """Return a formula of its own line, which scrolls by itself where it is too wide."""
    return f'<div style="overflow: auto hidden">{convert(formula, display="block")}</div>'


def options() -> str:
    """Return a page with the help of every verb, which the schemas and the files in conf/ write."""
    text = "# All options\n\nWhat `frog VERB --help` tells: defaults from `conf/`, the rest from the schemas.\n"
    for verb, about in cli.VERBS.items():
        told = io.StringIO()
        with contextlib.redirect_stdout(told):
            cli.main([verb, "--help"])
        text += f"\n## frog {verb}\n\n{about[0].upper()}{about[1:]}.\n\n```text\n{told.getvalue()}```\n"
    return text
