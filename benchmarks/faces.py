"""e15: faces, by the default, by what was the default before it, and by the denoiser alone.

inverso bench e15 --data FACES --n 50
"""

from __future__ import annotations

from pathlib import Path

from worth import ADAPTED, DEFAULT, WORTH

from inverso.experiments import Case, Experiment, Using, mean_interval
from inverso.experiments.report import markdown_table
from inverso.experiments.runner import Finished
from inverso.methods import THOROUGH
from inverso.operators import Bicubic
from inverso.stages import Average, Diffusion

OLD = "ia+bp"
SAMPLES = 8


def beside_the_old(finished: Finished, out: Path) -> str:  # noqa: ARG001 - it draws nothing
    """Say how much better and how much faster every method is than adaptation, in the mean of the tasks of worth.

    Without adaptation among the methods there is nothing to say.
    """
    if OLD not in finished.experiment.methods:
        return ""
    results, titles = finished.results, [case.title for case in WORTH.cases]

    def over_tasks(method: str, metric: str) -> dict[str, float]:
        columns = [results.values(title, method, metric) for title in titles]
        return {photo: sum(column[photo] for column in columns) / len(columns) for photo in columns[0]}

    old_psnr, old_seconds = (over_tasks(OLD, metric) for metric in ("psnr", "seconds"))
    rows = []
    for method in finished.experiment.methods:
        psnr, seconds = (over_tasks(method, metric) for metric in ("psnr", "seconds"))
        gain = mean_interval([value - old_psnr[photo] for photo, value in psnr.items()])
        share = sum(old_seconds.values()) / max(sum(seconds.values()), 1e-9)
        rows.append([method, f"{gain.mean:+.2f} ± {gain.half_width:.2f}", f"{share:.1f}"])
    table = markdown_table(["method", f"dB over {OLD}", f"times as fast as {OLD}"], rows)
    return f"## Mean of the tasks without noise\n\n{table}"


E15 = Experiment(
    name="e15",
    title="Faces",
    question="What does a denoiser of faces add after a generator, and what does adaptation add to that?",
    source="",
    cases=(*WORTH.cases, Case("bicubic x4", Bicubic(4), noise=10 / 255)),
    methods={
        "csgm+bp": "csgm+bp",
        OLD: OLD,
        DEFAULT: DEFAULT,
        THOROUGH: THOROUGH,
        ADAPTED: ADAPTED,
    },
    slow={
        "csgm+bp+pnp (photos)": Using("csgm+bp+pnp", prior=("faces-64", "photos")),
        f"ddnm ({SAMPLES} samples)": (Average((Diffusion(),), SAMPLES),),
    },
    comparisons=((DEFAULT, OLD), (THOROUGH, OLD), (THOROUGH, DEFAULT), (ADAPTED, THOROUGH)),
    appendix=beside_the_old,
)
