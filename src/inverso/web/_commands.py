"""The command line that does what the page does."""

from __future__ import annotations

import shlex

from inverso.repair import Repair


def restore_command(photo: str, answer: str, repair: Repair, *, mask: str | None = None) -> str:
    """Write `inverso restore` with the settings that differ from its defaults.

    Args:
        photo: File name of the photo.
        answer: File name of the answer.
        repair: What is done.
        mask: File name of the mask.

    Example:
        >>> from inverso.repair import Repair
        >>> restore_command("my cat.jpg", "cat.png", Repair(scale=2, noise=0.0))
        "inverso restore 'my cat.jpg' --scale 2 --noise 0 -o cat.png"
    """
    words = ["inverso", "restore", photo]
    if mask is not None:
        words += ["--mask", mask]
    if repair.scale != 1:
        words += ["--scale", str(repair.scale)]
    if repair.blur:
        words += ["--blur", f"{repair.blur:g}"]
    if repair.noise != "auto":
        words += ["--noise", f"{repair.noise:.4g}"]
    if repair.old:
        words.append("--old")
    return shlex.join([*words, "-o", answer])
