"""Put the tables and plots of `inverso bench` into docs/results/: `python docs/collect_results.py RUNS`.

RUNS holds one folder per page, as `inverso bench NAME --out RUNS/NAME` made it. Of each page only what stands above its
last section, "What it shows", is written anew: that section is written by hand. Pictures of photos are left out,
as the photos that were measured are not free; those of the pages that are named after RUNS are free, and kept.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from urllib.parse import unquote

from PIL import Image

RESULTS = Path(__file__).parent / "results"
READ = "## What it shows"
WIDEST = 1500


def main() -> None:
    """Collect every experiment that has a table."""
    if len(sys.argv) < 2 or not Path(sys.argv[1]).is_dir():
        sys.exit(__doc__)
    for table in sorted(Path(sys.argv[1]).glob("*/table.md")):
        collect(table, free=table.parent.name in sys.argv[2:])


def collect(table: Path, *, free: bool) -> None:
    """Write the page of one experiment."""
    run, name = table.parent, table.parent.name
    text = _with_own_pictures(table) if free else _without_pictures(table.read_text())
    text = re.sub(r"--data \S+", "--data DIR", text)
    text = re.sub(r"--tuning \S+", "--tuning TUNING", text)
    text = re.sub(r" (-o|--out) \S+", "", text)
    text = re.sub(r" --(batch|pictures|device) \S+| --quiet| -q\b", "", text)
    text = re.sub(r"=\S*?([^/\s]+/[^/\s]+\.safetensors)", r"=\1", text)
    for plot in sorted((run / "plots").glob("*.png")):
        shutil.copyfile(plot, RESULTS / "plots" / f"{name}-{plot.name}")
        text = text.replace(f"plots/{plot.name}", f"plots/{name}-{plot.name}")
    page = RESULTS / f"{name}.md"
    read = page.read_text().partition(READ)[2] if page.exists() else ""
    page.write_text(f"{text.rstrip()}\n\n{READ}{read or chr(10)}")


def _without_pictures(text: str) -> str:
    """Drop the sections that show photos."""
    parts = re.split(r"(?m)^(?=## )", text)
    return "".join(part for part in parts if "](pictures/" not in part)


def _with_own_pictures(table: Path) -> str:
    """Copy the pictures beside the page, as small as a page needs them."""
    text = table.read_text()
    for place in re.findall(r"\]\((pictures/[^)]+)\)", text):
        file = Path(unquote(place))
        name = "-".join([table.parent.name, *file.with_suffix("").parts[1:]]).replace(" ", "-")
        kept = Path("pictures") / f"{name}.jpg"
        (RESULTS / kept).parent.mkdir(exist_ok=True)
        with Image.open(table.parent / file) as picture:
            small = picture.convert("RGB")
            small.thumbnail((WIDEST, WIDEST))
            small.save(RESULTS / kept, quality=88)
        text = text.replace(place, kept.as_posix())
    return text


if __name__ == "__main__":
    main()
