"""Running an experiment: what is measured, what is shared, and what a kill leaves."""

import json
import os
import runpy
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch

from inverso import __version__, solve
from inverso.experiments import Case, Experiment, Metric, Options, Tuned, Using, find, run, write_report
from inverso.experiments._environment import source_digest
from inverso.experiments._measuring import NOISE_STREAM, ROUNDING, measure
from inverso.experiments._networks import load_restorers
from inverso.images.io import load_image, photo, save_image
from inverso.jobs import Local
from inverso.metrics import psnr, ssim
from inverso.operators import Bicubic, Identity, RandomMask
from inverso.priors import DCGAN, load, save_prior
from inverso.stages import CSGM, DirectStage, Need, PseudoInverse, Stage, TotalVariation


def test_rows_are_what_solve_gives(experiment, data, options, prior_file, tmp_path) -> None:
    finished = run(experiment, data, tmp_path, options, command="a command")
    rows = finished.results.rows
    assert len(rows) == 2 * 3 * 3
    prior = load(str(prior_file))
    for case in experiment.cases:
        for k in range(3):
            x = load_image(data / f"{k:02d}.png", size=16)
            A = RandomMask(0.5, seed=k)
            y = A.measure(x, noise=case.noise, seed=torch.Generator().manual_seed(NOISE_STREAM + k))
            for name, method in experiment.methods.items():
                alone = solve(y, A, prior, method, noise=case.noise, progress=False)
                (row,) = [r for r in rows if (r.case, r.photo, r.method) == (case.title, f"{k:02d}.png", name)]
                assert row.seed == k
                assert row.values["psnr"] == pytest.approx(float(psnr(alone.image, x)), abs=1e-3)
                assert row.values["ssim"] == pytest.approx(float(ssim(alone.image, x)), abs=1e-4)
                assert row.values["evaluations"] == sum(record.evaluations for record in alone.stages)
    kept = json.loads((tmp_path / "environment.json").read_text())
    assert kept["runs"][0]["command"] == "a command"
    assert kept["runs"][0]["left"] == 2 * 3
    assert kept["runs"][0]["source"] == source_digest()
    assert kept["settings"]["inverso"] == kept["runs"][0]["inverso"] == __version__
    assert kept["settings"]["methods"]["csgm"].startswith("(CSGM(steps=3,")


def test_the_batch_changes_nothing(experiment, data, options, tmp_path) -> None:
    rows = [
        run(experiment, data, tmp_path / str(size), replace(options, batch=size)).results.rows for size in (1, 2, 3)
    ]
    keyed = [{(r.case, r.photo, r.method): r.values["psnr"] for r in each} for each in rows]
    for other in keyed[1:]:
        assert other == pytest.approx(keyed[0], abs=1e-3)


@dataclass(frozen=True)
class Counting(Stage):
    """A stage that notes how often it ran."""

    label: str

    name = "counting"
    needs = frozenset({Need.OPERATOR})
    calls: ClassVar[list[str]] = []

    def __call__(self, problem, state):
        self.calls.append(self.label)
        return PseudoInverse()(problem, state)


def test_methods_that_share_stages_share_the_run(experiment, data, options, tmp_path) -> None:
    first, second = Counting("first"), Counting("second")
    methods = {"b": (first, second), "a": first, "ab": (first, second, PseudoInverse()), "other": second}
    shared = replace(experiment, methods=methods, comparisons=())
    Counting.calls.clear()
    run(shared, data, tmp_path, replace(options, batch=3))
    assert Counting.calls == ["first", "second", "first", "second"] * 2
    ordered = replace(shared, methods={"a": first, "b": (first, second)})
    Counting.calls.clear()
    run(ordered, data, tmp_path / "ordered", replace(options, batch=3))
    assert Counting.calls == ["first", "second"] * 2


def test_a_finished_experiment_solves_nothing_again(experiment, data, options, tmp_path) -> None:
    counted = replace(experiment, methods={"a": Counting("a")}, comparisons=())
    run(counted, data, tmp_path, options)
    before = (tmp_path / "results.csv").read_bytes()
    Counting.calls.clear()
    again = run(counted, data, tmp_path, replace(options, batch=1))
    assert Counting.calls == []
    assert (tmp_path / "results.csv").read_bytes() == before
    assert len(again.results.rows) == 6
    assert len(json.loads((tmp_path / "environment.json").read_text())["runs"]) == 2


@pytest.mark.parametrize(
    ("change", "named"),
    [({"n": 2}, "photos"), ({"seed": 1}, "seed"), ({"fast": True}, "fast"), ({"pictures": 2}, "pictures")],
)
def test_other_settings_are_refused(experiment, data, options, tmp_path, change, named) -> None:
    run(experiment, data, tmp_path, options)
    with pytest.raises(ValueError, match=f"made with other settings: {named} differ"):
        run(experiment, data, tmp_path, replace(options, **change))


def test_more_photos_go_on_where_fewer_ended(experiment, data, options, tmp_path) -> None:
    few = run(experiment, data, tmp_path / "grown", replace(options, n=2)).results
    before = few.path.read_bytes()
    grown = run(experiment, data, tmp_path / "grown", options).results
    assert grown.path.read_bytes().startswith(before), "finished photos are not measured again"
    whole = run(experiment, data, tmp_path / "whole", options).results
    values = [{(r.case, r.photo, r.method, r.seed): r.values["psnr"] for r in each.rows} for each in (grown, whole)]
    assert values[0] == pytest.approx(values[1], abs=1e-3)


def test_other_methods_photos_and_weights_are_refused(experiment, data, options, tmp_path) -> None:
    run(experiment, data, tmp_path, options)
    with pytest.raises(ValueError, match="other settings: methods differ"):
        run(experiment.chosen(["csgm"]), data, tmp_path, options)
    other = tmp_path / "photos"
    other.mkdir()
    for k in range(3):
        (other / f"{k:02d}.png").write_bytes((data / f"{k + 1:02d}.png").read_bytes())
    with pytest.raises(ValueError, match="other settings: photos differ"):
        run(experiment, other, tmp_path, options)


SCRIPT = """
import sys, time
from dataclasses import dataclass
from pathlib import Path
from inverso.experiments import Case, Experiment, Options, run
from inverso.operators import RandomMask
from inverso.stages import CSGM, DirectStage, PseudoInverse, Stage

data, out, prior, log, seconds = sys.argv[1:]

@dataclass(frozen=True)
class Slow(Stage):
    name = "slow"

    def __call__(self, problem, state):
        with Path(log).open("a") as stream:
            stream.write(f"{problem.A.seed}\\n")
        time.sleep(float(seconds))
        return PseudoInverse()(problem, state)

case = Case("half", RandomMask(0.5))
experiment = Experiment("tiny", "", "", "", (case,), {"pinv": "pinv", "slow": Slow()}, metrics=("psnr",))
run(experiment, data, out, Options(n=7, batch=2, prior=prior, progress=False, pictures=0))
"""


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(data, prior_file, tmp_path, monkeypatch) -> None:
    out, log, script = tmp_path / "out", tmp_path / "log", tmp_path / "script.py"
    script.write_text(SCRIPT)
    words = [str(script), str(data), str(out), str(prior_file), str(log)]
    with subprocess.Popen([sys.executable, *words, "0.5"], env={**os.environ, "OMP_NUM_THREADS": "1"}) as process:
        deadline = time.monotonic() + 60
        # A header and two batches of two photos, two methods each.
        while time.monotonic() < deadline and process.poll() is None:
            if (out / "results.csv").exists() and (out / "results.csv").read_bytes().count(b"\n") >= 1 + 2 * 2 * 2:
                break
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    killed = (out / "results.csv").read_bytes()
    # As if the kill had come in the middle of a write.
    with (out / "results.csv").open("ab") as stream:
        stream.write(b"half,04.png,pinv,4,12.")
    log.unlink()
    monkeypatch.setattr(sys, "argv", [*words, "0"])
    runpy.run_path(str(script))
    assert (out / "results.csv").read_bytes().startswith(killed)
    assert log.read_text().splitlines() == ["(4, 5)", "(6,)"]
    lines = (out / "results.csv").read_text().splitlines()[1:]
    assert [line.split(",")[1:3] for line in lines] == [
        [name, method]
        for name in (*(f"{k:02d}.png" for k in (0, 1, 2, 3, 4)), "06.png", "07.png")
        for method in ("pinv", "slow")
    ]


def test_tuning_takes_the_best_setting_on_photos_that_are_not_measured(data, options, tmp_path) -> None:
    candidates = (TotalVariation(100.0, steps=3), TotalVariation(0.01, steps=20), TotalVariation(10.0, steps=3))
    case = Case("x2", Bicubic(2))
    experiment = Experiment("t", "", "", "", (case,), {"tv": Tuned(candidates)}, metrics=("psnr",))
    finished = run(experiment, data, tmp_path, options)
    chosen = json.loads((tmp_path / "tuning.json").read_text())
    assert chosen == {"x2": {"tv": {"index": 1, "stage": repr(candidates[1])}}}
    x = load_image(data / "00.png", size=16)
    best = solve(Bicubic(2)(x), Bicubic(2), load(options.prior), candidates[1], progress=False).image
    assert finished.results.rows[0].values["psnr"] == pytest.approx(float(psnr(best, x)), abs=1e-3)


def test_rounding_to_8_bits_counts_as_noise() -> None:
    x = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 1.4 - 0.2
    A, y, noise = measure(Case("x2", Bicubic(2), noise=0.01, eight_bit=True), x, [0, 1])
    torch.testing.assert_close(y * 255, (y * 255).round())
    assert 0 <= float(y.min()) < float(y.max()) <= 1
    assert noise == pytest.approx((0.01**2 + ROUNDING**2) ** 0.5)
    assert A == Bicubic(2)


def test_noise_is_independent_from_photo_to_photo() -> None:
    x = torch.zeros(2, 1, 64, 64)
    _, y, _ = measure(Case("x2", Bicubic(2), noise=1.0), x, [0, 1])
    assert abs(float(torch.corrcoef(y.flatten(1))[0, 1])) < 0.1


def test_fast_takes_a_handful_of_steps(experiment, data, options, tmp_path) -> None:
    methods = {"tv": Tuned((TotalVariation(0.01), TotalVariation(0.02))), "ia": "ia"}
    run(replace(experiment, methods=methods, comparisons=()), data, tmp_path, replace(options, n=1, fast=True))
    methods = json.loads((tmp_path / "environment.json").read_text())["settings"]["methods"]
    assert methods["tv"].count("steps=5") == 2
    assert methods["ia"].count("steps=5") == 2


def test_restorers_stand_side_by_side(experiment, data, options, tmp_path, monkeypatch) -> None:
    class Level(torch.nn.Module):
        def __init__(self, level: float) -> None:
            super().__init__()
            self.level = torch.nn.Parameter(torch.tensor(level))

        def forward(self, y):
            return torch.full_like(y, float(self.level))

    monkeypatch.setattr("inverso.experiments._networks.load_restorer", lambda name: Level(float(name)))
    both = replace(experiment, methods={"ff": "ff"}, comparisons=(), cases=experiment.cases[:1])
    finished = run(both, data, tmp_path, replace(options, restorers={"black": "0", "gray": "0.5"}))
    assert list(finished.experiment.methods) == ["ff (black)", "ff (gray)"]
    x = load_image(data / "00.png", size=16)
    values = [row.values["psnr"] for row in finished.results.rows[:2]]
    assert values == pytest.approx([float(psnr(torch.full_like(x, v), x)) for v in (0.0, 0.5)], abs=1e-3)


def test_own_metrics_are_columns(experiment, data, options, tmp_path) -> None:
    steps = Metric("stages", "stages", lambda answer, x: torch.full((len(x),), float(len(answer.stages))))
    rows = run(replace(experiment, metrics=("psnr", steps)), data, tmp_path, options).results.rows
    assert {row.values["stages"] for row in rows if row.method == "csgm+ia"} == {2.0}


def test_methods_with_a_prior_of_their_own(experiment, data, options, prior_file, tmp_path) -> None:
    own, wrong = tmp_path / "own.safetensors", DCGAN(4, width=4, depth=3, seed=1)
    save_prior(DCGAN(6, width=8, depth=2, seed=1), own)
    csgm = CSGM(steps=2)
    methods = {"csgm": csgm, "other": Using(csgm, prior=str(own)), "wide": Using(csgm, prior=wrong)}
    asked = replace(experiment, methods=methods, comparisons=(), cases=experiment.cases[:1])
    with pytest.warns(UserWarning, match=r"wide is left out: its prior makes images of shape \(3, 32, 32\)"):
        rows = run(asked, data, tmp_path / "out", replace(options, n=1)).results.rows
    x, A = load_image(data / "00.png", size=16), RandomMask(0.5, seed=0)
    for row, prior in zip(rows, (prior_file, own), strict=True):
        alone = solve(A.measure(x), A, load(str(prior)), csgm, progress=False)
        assert row.values["psnr"] == pytest.approx(float(psnr(alone.image, x)), abs=1e-3)
    kept = json.loads((tmp_path / "out" / "environment.json").read_text())
    assert list(kept["settings"]["methods' own networks"]) == ["prior of other"]


@dataclass(frozen=True)
class Halved(DirectStage):
    """A stage of a stranger, written outside the package."""

    name = "halved"

    def images(self, problem, state):  # noqa: ARG002 - it begins anew
        return problem.y / 2


def test_whole_photos_without_a_prior_and_crops(data, tmp_path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for k, side in enumerate((12, 12, 20)):
        save_image(photo("coffee", size=24)[..., :side, :], folder / f"{k}.png")
    whole = Experiment(
        "t", "", "", "", (Case("", Identity()),), {"half": Halved()}, metrics=("psnr",), size="native", prior=None
    )
    options = Options(n=3, progress=False, pictures=0)
    finished = run(whole, folder, tmp_path / "whole", options)
    assert finished.prior is None
    assert [tuple(image.shape[2:]) for image in finished.photos.images] == [(12, 24), (12, 24), (20, 24)]
    expected = psnr(load_image(folder / "2.png") / 2, load_image(folder / "2.png"))
    assert finished.results.rows[2].values["psnr"] == pytest.approx(float(expected), abs=1e-3)
    kept = json.loads((tmp_path / "whole" / "environment.json").read_text())
    assert kept["runs"][0]["own code"].keys() == {"test_runner.py"}
    assert "prior" not in write_report(tmp_path / "whole", finished).read_text().split("## ")[0]
    crops = run(whole, folder, tmp_path / "crops", replace(options, size=8)).photos
    assert crops.batch([0, 2]).shape == (2, 3, 8, 8)


def test_the_size_of_photos_must_be_known(experiment, data, options, tmp_path) -> None:
    with pytest.raises(ValueError, match="tiny resizes photos to its prior's size: leave out --size"):
        run(experiment, data, tmp_path, replace(options, size=8))
    nobody = replace(experiment, methods={"half": Halved()}, comparisons=(), prior=None)
    with pytest.raises(
        ValueError, match="to the size of its prior's images, which must be square, and it has no prior"
    ):
        run(nobody, data, tmp_path, replace(options, prior=None))


def test_restorers_that_are_missing_or_too_many(experiment) -> None:
    needy = replace(experiment, methods={"ff": "ff"}, comparisons=())
    with pytest.raises(ValueError, match=r"'tiny' needs a restorer, and none was given: .* with --restorer"):
        load_restorers(needy, {})
    with pytest.raises(ValueError, match="'tiny' uses no restorer, and a was given"):
        load_restorers(experiment, {"a": "a"})


def test_options_are_checked() -> None:
    for name in ("n", "batch"):
        with pytest.raises(ValueError, match=f"{name} must be an integer of at least 1, got 0"):
            Options(**{name: 0})
    with pytest.raises(ValueError, match="pictures must be an integer of at least 0"):
        Options(pictures=-1)
    with pytest.raises(TypeError, match="seed must be an integer"):
        Options(seed="x")


def test_unknown_metrics_are_refused(experiment: Experiment, data, options, tmp_path) -> None:
    with pytest.raises(ValueError, match="there is no metric 'mse'; known: psnr, ssim, sharpness, lpips"):
        run(replace(experiment, metrics=("mse",)), data, tmp_path, options)


def test_other_processes_give_the_same_rows_and_find_an_experiment_in_its_file(data, options, tmp_path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from dataclasses import dataclass\n"
        "from inverso.experiments import Case, Experiment\n"
        "from inverso.operators import RandomMask\n"
        "from inverso.stages import PseudoInverse\n"
        "@dataclass(frozen=True)\n"
        "class Mine(PseudoInverse):\n"
        "    pass\n"
        "half = Experiment('half', '', '', '', (Case('half', RandomMask(0.5)),), {'mine': Mine()}, metrics=('psnr',))\n"
    )
    experiment = find(str(file))
    here = run(experiment, data, tmp_path / "here", options)
    there = run(experiment, data, tmp_path / "there", options, executor=Local(processes=1))

    def measured(finished):
        rows = sorted(finished.results.rows, key=lambda row: row.photo)
        return [(row.case, row.photo, row.method, row.seed, row.values["psnr"]) for row in rows]

    assert len(measured(here)) == 3
    assert measured(there) == measured(here)
    assert not run(experiment, data, tmp_path / "there", options, executor=Local(processes=1)).results.rows[3:]


@pytest.mark.slow
def test_a_photo_whose_worker_dies_is_left_out_and_said(data, options, tmp_path) -> None:
    file = tmp_path / "deadly.py"
    file.write_text(
        "import os, signal\n"
        "from dataclasses import dataclass\n"
        "from inverso.experiments import Case, Experiment\n"
        "from inverso.operators import RandomMask\n"
        "from inverso.stages import PseudoInverse\n"
        "@dataclass(frozen=True)\n"
        "class Deadly(PseudoInverse):\n"
        "    def __call__(self, problem, state):\n"
        "        if 1 in problem.A.seed:\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
        "        return super().__call__(problem, state)\n"
        "case = Case('half', RandomMask(0.5))\n"
        "half = Experiment('half', '', '', '', (case,), {'mine': Deadly()}, metrics=('psnr',))\n"
    )
    with pytest.warns(UserWarning, match=r"01\.png has no rows in 'half': its worker process died"):
        finished = run(find(str(file)), data, tmp_path / "out", options, executor=Local(processes=1))
    assert sorted(row.photo for row in finished.results.rows) == ["00.png", "02.png"]
