"""The command lines that correspond to the page's settings."""

from __future__ import annotations

import shlex

from inverso.jobs import Job
from inverso.repair import Repair


def restore_command(photo: str, answer: str, repair: Repair, *, mask: str | None = None) -> str:
    """Write `inverso restore` with the settings that differ from its defaults.

    Args:
        photo: File name of the photo.
        answer: File name of the result.
        repair: Settings of the repair.
        mask: File name of the mask.

    Example:
        >>> from inverso.repair import Repair
        >>> restore_command("my cat.jpg", "cat.png", Repair(scale=2, noise=0.0, color=True))
        "inverso restore 'my cat.jpg' --scale 2 --noise 0 --color -o cat.png"
        >>> restore_command("aunt.jpg", "aunt.png", Repair(old=True, stains=False))
        'inverso restore aunt.jpg --old --no-stains -o aunt.png'
    """
    words = ["inverso", "restore", photo]
    if mask is not None:
        words += ["--mask", mask]
    if repair.scale != 1:
        words += ["--scale", str(repair.scale)]
    if repair.blur:
        words += ["--blur", "auto" if repair.blur == "auto" else f"{repair.blur:g}"]
    if repair.noise != "auto":
        words += ["--noise", f"{repair.noise:.4g}"]
    if repair.old:
        words += ["--old"] if repair.stains else ["--old", "--no-stains"]
    if repair.color:
        words.append("--color")
    return shlex.join([*words, "-o", answer])


def solve_command(photo: str, job: Job) -> str:
    """Write `inverso solve --simulate` for a job.

    Args:
        photo: File name of the photo.
        job: The job.

    Example:
        >>> from inverso.jobs import Job
        >>> solve_command("cat.png", Job(operator="fft:0.3", prior="faces-64", method="csgm+bp", simulate=True))
        'inverso solve cat.png --simulate -A fft:0.3 --prior faces-64 -m csgm+bp -o cat-solved.png'
    """
    words = ["inverso", "solve", photo, "--simulate", "-A", str(job.operator)]
    if job.noise:
        words += ["--noise", f"{job.noise:g}"]
    if isinstance(job.prior, str):
        words += ["--prior", job.prior]
    if job.method is not None:
        words += ["-m", job.method]
    if job.seed:
        words += ["--seed", str(job.seed)]
    if job.size is not None:
        words += ["--size", str(job.size)]
    return shlex.join([*words, "-o", f"{photo.rpartition('.')[0]}-solved.png"])
