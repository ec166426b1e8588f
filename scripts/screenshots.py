"""Take the screenshots of the README in a browser.

Needs Chromium (or Chrome), Playwright and Pillow. With --check it also takes every page dark, on a phone (390 px) and
printed, so that somebody looks at them.

    python scripts/screenshots.py [--out docs/images] [--rows 4000] [--check FOLDER]
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
WIDTH, HEIGHT, PHONE = 1120, 1800, 390
COLOURS = 256
"""Of a picture in the README; so few make it small and harm nothing."""

COMMANDS = """\
simulate --rows {rows} --seed 1 --out train.csv
simulate --rows {half} --seed 2 --out votes.csv
train baseline --train train.csv --out judge --folds.n 3
report --input votes.csv --out votes.html
report --judge judge --input votes.csv --out report.html
rank --input train.csv --min-battles {least} --style-control --html leaderboard.html"""
"""Commands that make the pages."""

CASCADE = "cascade bundled:baseline judge --calibration votes.csv --max-loss 0.01 --out cascade --html cascade.html"
"""A page that is only looked at."""

PAGES = ("report", "votes", "leaderboard")
"""Those that are shown in the README."""

VIEWS = ("service", "service_file")
"""The views of the page of the service: answers compared, a file predicted."""

LOOKS: dict[str, dict[str, Any]] = {
    "light": {},
    "dark": {"color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}},
    "narrow": {"viewport": {"width": 320, "height": 640}, "color_scheme": "dark"},
}
"""In which the page of the service is looked at."""


def main() -> int:
    """Make the pages and take their screenshots."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "images")
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--check", type=Path, help="folder for pictures of every page: light, dark, phone, printed")
    asked = parser.parse_args()
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print(f"none of {', '.join(BROWSERS)} is installed; the pictures need one of them", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = COMMANDS.format(rows=asked.rows, half=asked.rows // 2, least=asked.rows // 40).splitlines()
        for line in [*lines, CASCADE] if asked.check else lines:
            subprocess.run(
                [sys.executable, "-m", "votecast", *line.split()], cwd=folder, check=True, capture_output=True
            )
        asked.out.mkdir(parents=True, exist_ok=True)
        for page in PAGES:
            picture = asked.out / f"{page}.png"
            take(browser, folder / f"{page}.html", picture, WIDTH, HEIGHT)
            shrink(picture)
        if asked.check is not None:
            asked.check.mkdir(parents=True, exist_ok=True)
            for path in sorted(folder.glob("*.html")):
                check(browser, path, asked.check)
    with serving() as url:
        visit(browser, url, {asked.out / f"{view}.png": {} for view in VIEWS})
        if asked.check is not None:
            seen = ((view, name, look) for name, look in LOOKS.items() for view in VIEWS)
            visit(browser, url, {asked.check / f"{view}-{name}.png": look for view, name, look in seen})
    for view in VIEWS:
        shrink(asked.out / f"{view}.png")
    return 0


def shrink(picture: Path) -> None:
    """Shrink a picture."""
    Image.open(picture).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(picture, optimize=True)
    print(f"{picture}  {picture.stat().st_size / 1000:.0f} kB")


@contextmanager
def serving() -> Iterator[str]:
    """Serve on a free port; yield the address and stop afterwards."""
    command = [
        sys.executable,
        "-m",
        "votecast",
        "serve",
        "--judge",
        "bundled:baseline",
        "--workers",
        "1",
        "--port",
        "0",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as service:
        assert service.stderr is not None
        try:
            url = ""
            for line in service.stderr:
                url = line.split()[-1] if line.startswith("listening on ") else url
                if line.startswith("ready"):
                    break
            yield url
        finally:
            service.terminate()
            service.communicate()


def visit(browser: str, url: str, pictures: dict[Path, dict[str, Any]]) -> None:
    """Take pictures of the service's views, each with its own colour scheme."""
    from playwright.sync_api import sync_playwright

    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=sandbox)
        for picture, look in pictures.items():
            options = {"viewport": {"width": WIDTH, "height": 900}, "reduced_motion": "reduce"} | look
            with chromium.new_context(**options) as context:
                page = context.new_page()
                page.goto(f"{url}/#file" if "file" in picture.name else url)
                (predict_file if "file" in picture.name else compare)(page)
                page.mouse.move(0, 0)
                page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0) }")
                page.screenshot(path=picture, full_page=True)
        chromium.close()


def compare(page: Any) -> None:
    """Compare the responses of the first example."""
    page.locator("#judge:not([disabled])").wait_for()
    page.locator("#examples button").first.click()
    page.get_by_role("button", name="Compare", exact=True).click()
    page.locator("#result").wait_for()


def predict_file(page: Any) -> None:
    """Predict the sample."""
    page.get_by_role("button", name="Use the sample").click()
    page.get_by_role("button", name="Predict").click()
    page.get_by_text("Leaderboard by predictions").wait_for()


def check(browser: str, page: Path, out: Path) -> None:
    """Take one page in every size and colour scheme."""
    shutil.copy(page, out / page.name)
    take(browser, page, out / f"{page.stem}-light.png", WIDTH, 6000)
    take(browser, page, out / f"{page.stem}-dark.png", WIDTH, 6000, dark=True)
    take(browser, page, out / f"{page.stem}-phone.png", PHONE, 12000)
    run(browser, f"--print-to-pdf={out / page.stem}.pdf", "--no-pdf-header-footer", page.as_uri())


def take(browser: str, page: Path, picture: Path, width: int, height: int, *, dark: bool = False) -> None:
    """Photograph the top of a page in a phone-sized frame."""
    frame = page.with_suffix(".frame.htm")
    frame.write_text(
        f'<body style="margin:0"><iframe src="{page.name}" width="{width}" height="{height}" style="border:0"></iframe>'
    )
    scheme = [f"--blink-settings=preferredColorScheme={0 if dark else 1}"]
    size = [f"--window-size={max(width, 500)},{height}", f"--screenshot={picture}", "--allow-file-access-from-files"]
    run(browser, *scheme, *size, "--hide-scrollbars", frame.as_uri())
    Image.open(picture).crop((0, 0, width, height)).save(picture)


def run(browser: str, *words: str) -> None:
    """Run the browser headless; without a sandbox for root."""
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    command = [browser, "--headless=new", "--disable-gpu", *sandbox, *words]
    subprocess.run(command, check=True, capture_output=True, timeout=120)


if __name__ == "__main__":
    sys.exit(main())
