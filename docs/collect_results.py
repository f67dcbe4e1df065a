"""Put the tables and plots of `inverso bench` into docs/results/: `python docs/collect_results.py RUNS`.

RUNS holds one folder per experiment, as `inverso bench NAME --out RUNS/NAME` made it. Of each page only what stands
above its last section, "What to read off it", is written anew: that section is written by hand. Pictures of photos are
left out, as the photos that were measured are not free.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
READ = "## What to read off it"


def main() -> None:
    """Collect every experiment that has a table."""
    if len(sys.argv) < 2 or not Path(sys.argv[1]).is_dir():
        sys.exit(__doc__)
    for table in sorted(Path(sys.argv[1]).glob("*/table.md")):
        collect(table)


def collect(table: Path) -> None:
    """Write the page of one experiment."""
    run = table.parent
    settings = json.loads((run / "environment.json").read_text())["settings"]
    name = settings["experiment"]
    text = _without_pictures(table.read_text())
    text = re.sub(r"--data \S+", "--data DIR", text)
    text = re.sub(r" (-o|--out) \S+", "", text)
    text = re.sub(r" --(batch|pictures|device) \S+| --quiet| -q\b", "", text)
    text = re.sub(r"=\S*/([^/\s]+\.safetensors)", r"=\1", text)
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


if __name__ == "__main__":
    main()
