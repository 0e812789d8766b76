"""Figures as SVG and PNG files, drawn by the same Plotly as on the page, in a browser without a window.

One run of Chromium draws all figures of a page and prints the document with the pictures in it (--dump-dom); nothing is
driven from outside, so nothing but the browser is needed.
Must not live here: where figures come from (pictures.py).
"""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape, unescape
from importlib.resources import as_file, files
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from kvnode.cluster.processes import watchdog
from labkit.errors import LabError
from labkit.figures.style import DARK_FOR_LIGHT

THEMES = ("light", "dark")
FORMATS = ("svg", "png")
PAPER = {"light": "#ffffff", "dark": "#111111"}
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
ARGUMENTS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--allow-file-access-from-files"),
)
DRAWS_WITHIN_S = 90
PIXELS_A_PIXEL = 2
INDEX = "index.html"
PAGE = """<!doctype html><meta charset="utf-8"><body><script src="{plotly}"></script><script>
const figures = {figures};
(async () => {{
  for (const {{ name, figure, format, width, height, scale }} of figures) {{
    const picture = await Plotly.toImage(figure, {{ format, width, height, scale }});
    Object.assign(document.body.appendChild(document.createElement("pre")), {{ id: name, textContent: picture }});
  }}
}})();
</script>"""
DRAWN = re.compile(r'<pre id="([^"]+)">([^<]*)</pre>')


@dataclass(frozen=True)
class Named:
    """One figure: its name as a file's, and its sentence."""

    name: str
    figure: dict[str, Any]
    summary: str


@dataclass(frozen=True)
class Look:
    """How files are to look."""

    themes: Sequence[str]
    formats: Sequence[str]
    width_px: int


@dataclass(frozen=True)
class Written:
    """One file."""

    path: Path
    title: str
    summary: str


def find_browser(wanted: str | None) -> str:
    """The browser that draws; LabError in one sentence if there is none."""
    for name in [wanted] if wanted else BROWSERS:
        if found := shutil.which(name):
            return found
    looked = wanted or ", ".join(BROWSERS)
    raise LabError(
        "A browser is missing: pictures are drawn by Chromium or Chrome.", why=f"looked for {looked}",
        do="install Chromium, or name one by --browser",
    )  # fmt: skip


def usable_folder(folder: Path) -> Path:
    """The folder, made if it is not there; LabError if it lies in a git repository or cannot be written."""
    folder = folder.expanduser().resolve()
    inside = next((one for one in (folder, *folder.parents) if (one / ".git").exists()), None)
    if inside is not None:
        raise LabError(f"{folder} lies in the git repository {inside}.", do="name a folder outside of it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise LabError(f"Nothing can be written to {folder}.", why=error.strerror or str(error)) from error
    return folder


def themed(figure: dict[str, Any], theme: str) -> dict[str, Any]:
    """The figure on the paper of a theme. Figures are written in the colours of a light page."""

    def dyed(part: Any) -> Any:
        if isinstance(part, str):
            return DARK_FOR_LIGHT.get(part, part)
        if isinstance(part, dict):
            return {name: dyed(value) for name, value in part.items()}
        return [dyed(one) for one in part] if isinstance(part, list) else part

    found: dict[str, Any] = dyed(figure) if theme == "dark" else dict(figure)
    found["layout"] = {**found["layout"], "paper_bgcolor": PAPER[theme]}
    return found


def draw(figures: Sequence[Named], folder: Path, *, look: Look, browser: str) -> list[Written]:
    """A file a figure, theme and format; LabError if the browser did not draw all of them in time."""
    jobs, titles = [], {}
    for one, theme, kind in product(figures, look.themes, look.formats):
        name = f"{one.name}-{theme}.{kind}"
        titles[name] = (str(one.figure["layout"].get("title", {}).get("text", one.name)), one.summary)
        height = int(one.figure["layout"].get("height", 270))
        jobs.append(
            {"name": name, "figure": themed(one.figure, theme), "format": kind, "width": look.width_px,
             "height": height, "scale": PIXELS_A_PIXEL if kind == "png" else 1}
        )  # fmt: skip
    drawn = dict(_drawn(jobs, browser)) if jobs else {}
    missing = [name for name in titles if not drawn.get(name, "").startswith("data:image/")]
    if missing:
        raise LabError(
            f"The browser did not draw {', '.join(missing[:3])}.", why=f"{browser} gave no picture"
        )
    written = []
    for name, (title, summary) in titles.items():
        (folder / name).write_bytes(_content(drawn[name]))
        written.append(Written(folder / name, title, summary))
    return written


def _drawn(jobs: Sequence[dict[str, Any]], browser: str) -> list[tuple[str, str]]:
    with (
        tempfile.TemporaryDirectory(prefix="quorum-lab-") as folder,
        as_file(files("plotly") / "package_data" / "plotly.min.js") as plotly,
    ):
        page = Path(folder) / "page.html"
        told = json.dumps(jobs).replace("</", "<\\/")
        page.write_text(PAGE.format(plotly=plotly.as_uri(), figures=told), encoding="utf-8")
        argv = [browser, *ARGUMENTS, f"--user-data-dir={folder}/profile"]
        argv += [f"--virtual-time-budget={DRAWS_WITHIN_S * 1000}", "--dump-dom", page.as_uri()]
        drawn = Path(folder) / "drawn.html"
        with (  # under a watchdog: it ends with this process, however that ends, and its helpers with it
            drawn.open("wb") as output,
            subprocess.Popen(
                [*watchdog.COMMAND, *argv], stdin=subprocess.PIPE, stdout=output, stderr=subprocess.DEVNULL,
                start_new_session=True,
            ) as running,
        ):  # fmt: skip
            try:
                running.wait(DRAWS_WITHIN_S)
            except subprocess.TimeoutExpired as error:
                why = f"it was not done within {DRAWS_WITHIN_S} s"
                raise LabError("The browser did not draw the pictures.", why=why) from error
        return [(name, unescape(picture)) for name, picture in DRAWN.findall(drawn.read_text("utf-8"))]


def _content(picture: str) -> bytes:
    head, _, body = picture.partition(",")
    return base64.b64decode(body) if head.endswith(";base64") else unquote(body).encode("utf-8")


def write_index(written: Sequence[Written], folder: Path) -> None:
    """One page that shows all pictures with their sentences."""
    chosen = {one.path.stem: one for one in written}  # one format of each is enough to look at
    rows = "".join(
        f'<figure><img src="{escape(one.path.name)}" alt="{escape(one.summary or one.title)}">'
        f"<figcaption><b>{escape(one.path.name)}</b> {escape(one.summary)}</figcaption></figure>\n"
        for one in chosen.values()
    )
    style = "<style>body{font:16px system-ui;margin:2em} img{max-width:100%;border:1px solid #ccc}</style>"
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Pictures</title>{style}{rows}</html>\n'
    )
    (folder / INDEX).write_text(page, encoding="utf-8")
