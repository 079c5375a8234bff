"""The pictures of docs/pictures, taken of real pages in Debian's chromium: python -m experiments.pictures [FOLDER]

The fleet is made up (experiments/example_fleet.py), its numbers are what MOrA recommends for it, and the pages are
those of `mora recommend -o html` and, with a month before it (experiments/example_server.py), of `mora serve`.
The fault on the page of `mora health score -o html` was recorded in the sandbox (experiments/recorded_fault).
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from experiments.example_fleet import recommended
from experiments.example_server import NOW, answer, month
from mora.health.known import read_known
from mora.health.model import train as learn
from mora.health.page import health_page
from mora.health.reading import read_file
from mora.outputs.html import render
from mora.web.live import Live
from mora.web.page import page

ROOT = Path(__file__).resolve().parent.parent
COUNT = 36
OF = "#search/deployment/sessions"


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture: its file, the size of the window, the workload that is open (a fragment), light or dark, the page."""

    file: str
    width: int
    height: int
    fragment: str = ""
    scheme: str = "light"
    page: str = "report.html"


SHOTS = (
    Shot("page.png", 1280, 860),
    Shot("page-dark.png", 1280, 860, scheme="dark"),
    Shot("workload.png", 1280, 1150, OF),
    Shot("phone.png", 390, 844, scheme="dark"),
    Shot("serve.png", 1280, 1150, page="live.html"),
    Shot("health.png", 1280, 1000, page="health.html"),
)


def main(arguments: list[str]) -> int:
    """Takes all pictures into a folder, docs/pictures by default."""
    folder = Path(arguments[0]) if arguments else ROOT / "docs" / "pictures"
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print("There is no chromium here. Install it (apt-get install chromium), then run this again.", file=sys.stderr)
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        pages = Path(scratch)
        (pages / "report.html").write_text(render(recommended(COUNT)), encoding="utf-8")
        (pages / "live.html").write_text(live_page(pages / "record.sqlite"), encoding="utf-8")
        (pages / "health.html").write_text(health_of_recorded_fault(), encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for shot in SHOTS:
            size = {"width": shot.width, "height": shot.height}
            context = browser.new_context(viewport=size, color_scheme=shot.scheme)  # type: ignore[arg-type]  # a literal
            take(context.new_page(), (pages / shot.page).as_uri() + shot.fragment, folder / shot.file)
            context.close()
        browser.close()
    return 0


def live_page(record: Path) -> str:
    """The page of a server of the same fleet."""
    made = answer(COUNT)
    month(record, made)
    live = Live(("",), 900.0)
    live.answered("", made)
    return page(live.shown(), record, None, None, now=NOW)


def health_of_recorded_fault() -> str:
    """The page of a service while its answers were late."""
    recorded, name = ROOT / "experiments" / "recorded_fault", "productcatalogservice"
    model = learn(read_file(recorded / "healthy.csv").frame, service=name)
    samples = read_file(recorded / "later.csv").frame
    judged = model.judge(samples, gap=timedelta(minutes=1))
    known = read_known(recorded / "labels.csv", namespace="default", service=name)
    return health_page(model, judged, model.prepared(samples).frame, known=known)


def take(tab: Page, address: str, path: Path) -> None:
    """One picture of what a window shows of a page."""
    tab.goto(address)
    tab.wait_for_selector("html[data-ready=yes]")
    tab.evaluate("document.activeElement.blur()")
    tab.screenshot(path=path)
    print(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
