"""Build the wheel, resolve what it needs in an empty environment, install it there and use it: `make wheel`."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MINUTES = 8
NEEDED = (
    "inverso/py.typed",
    "inverso/priors/weights/faces-64.safetensors",
    "inverso/priors/weights/photos.safetensors",
)
# What pip says where no index answers; everything else it says is the wheel's fault.
OFFLINE = ("Failed to establish a new connection", "Temporary failure in name resolution", "ReadTimeout", "ProxyError")
PROGRAM = """
import inverso, pathlib, sys
assert pathlib.Path(inverso.__file__).is_relative_to(sys.prefix), inverso.__file__
x = inverso.images.photo("astronaut", size=64)
A = inverso.operators.RandomMask(0.5)
answer = inverso.solve(A(x), A, prior=inverso.priors.load("faces-64"), method="csgm+bp", progress=False)
print("inverso", inverso.__version__, "reconstructs:", inverso.metrics.psnr(answer.image, x))
"""


def main() -> None:
    """Do all of it, and leave with an error where a step fails."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)])
        (wheel,) = folder.glob("*.whl")
        check_contents(wheel)
        venv.create(folder / "empty", with_pip=True)
        python = folder / "empty" / ("Scripts" if os.name == "nt" else "bin") / "python"
        resolve(python, wheel)
        run([str(python), "-m", "pip", "install", "--quiet", "--no-deps", str(wheel)])
        borrow_packages(python)
        run([str(python), "-I", "-c", PROGRAM], cwd=folder)
        run([str(python), "-I", "-m", "inverso", "models", "denoiser", "photos"], cwd=folder)


def check_contents(wheel: Path) -> None:
    """See that weights are inside, and that tests and notebooks are not."""
    names = zipfile.ZipFile(wheel).namelist()
    missing = [name for name in NEEDED if name not in names]
    strangers = [name for name in names if not name.startswith(("inverso/", "inverso_imaging-"))]
    if missing or strangers:
        sys.exit(f"the wheel lacks {missing} and has {strangers} beside the package")
    print(f"{wheel.name}: {len(names)} files, {wheel.stat().st_size / 1e6:.1f} MB")


def resolve(python: Path, wheel: Path) -> None:
    """Let pip choose everything that the wheel needs, from nothing, without installing it."""
    command = [str(python), "-m", "pip", "install", "--dry-run", "--progress-bar", "off", str(wheel)]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60 * MINUTES)
    except subprocess.TimeoutExpired:
        print(f"the index did not answer within {MINUTES} minutes: what the wheel needs was not resolved")
        return
    chosen = next((line for line in answer.stdout.splitlines() if line.startswith("Would install")), "")
    if answer.returncode == 0:
        print(f"pip would install {len(chosen.split()) - 2} packages")
    elif any(said in answer.stderr + answer.stdout for said in OFFLINE):
        print("no index can be reached: what the wheel needs was not resolved")
    else:
        sys.exit(f"pip cannot install the wheel:\n{answer.stderr}")


def borrow_packages(python: Path) -> None:
    """Let the empty environment see the packages of this one, all but inverso, which is not a folder there."""
    where = run([str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], quiet=True).strip()
    here = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (Path(where) / "borrowed.pth").write_text("\n".join(sorted(here)) + "\n", encoding="utf-8")


def run(command: list[str], *, cwd: Path | None = None, quiet: bool = False) -> str:
    """Run a command, and leave with its words where it fails."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    answer = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=environment)
    if answer.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{answer.stdout}{answer.stderr}")
    if not quiet:
        print(answer.stdout.strip().splitlines()[-1] if answer.stdout.strip() else "")
    return answer.stdout


if __name__ == "__main__":
    main()
