"""Make the README's picture: two moments of the demo's annotated video above its timelines.

    python tools/readme_picture.py [--chromium chromium]

Needs a Chromium to draw the report's chart. Writes docs/images/demo.png.
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

import cv2
import numpy as np

from kinetag.demo import demo
from kinetag.video import open_source

OUT = Path(__file__).parent.parent / "docs" / "images" / "demo.png"
MOMENTS = (4.1, 12.0)  # seconds: the bottom of a squat; arms up, and a lunge behind the box
CHART = (72, 216, 1018, 532)  # left, top, right, bottom of the timelines in the report, pixels


def screenshot(chromium: str, page: Path, folder: Path) -> np.ndarray:
    picture = folder / "report.png"
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    options += ["--window-size=1100,700", "--hide-scrollbars", f"--screenshot={picture}"]
    subprocess.run([chromium, *options, page.as_uri()], check=True, capture_output=True)
    page_picture = cv2.imread(str(picture))
    assert page_picture is not None
    return page_picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chromium", default="chromium")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        result = demo(folder / "out", width=1280, height=720)
        frames = []
        with open_source(result.out / "annotated.mp4") as video:
            for frame in video:
                if len(frames) < len(MOMENTS) and frame.time >= MOMENTS[len(frames)]:
                    frames.append(frame.image[60:700, 250:1010, ::-1])
        page = screenshot(options.chromium, result.out / "report.html", folder)
    left, top, right, bottom = CHART
    chart = page[top:bottom, left:right]
    above = np.hstack(frames)
    above = cv2.resize(above, (1520, round(above.shape[0] * 1520 / above.shape[1])), interpolation=cv2.INTER_AREA)
    below = cv2.resize(chart, (1520, round(chart.shape[0] * 1520 / chart.shape[1])), interpolation=cv2.INTER_CUBIC)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(OUT), np.vstack([above, below]), [cv2.IMWRITE_PNG_COMPRESSION, 9])


if __name__ == "__main__":
    main()
