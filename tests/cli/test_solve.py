"""`inverso solve`: files in, files and numbers out, the same as the library gives."""

import json
import sys

import pytest
import torch

from inverso import priors, solver, stages
from inverso.images.io import load_image, photo, save_image
from inverso.images.measurements import load_measurement, quantization_noise, save_measurement
from inverso.jobs import _networks, _solving
from inverso.metrics import psnr
from inverso.operators import Bicubic, FFTMask, RandomMask
from inverso.problem import StageFailure


@pytest.fixture
def y(picture):
    """A complex measurement of the picture, and its file."""
    measured = FFTMask(0.5).measure(load_image(picture, size=16))
    save_measurement(measured, "y.npz")
    return measured


def rounded(image):
    return (image.clamp(0, 1) * 255).round() / 255


def test_answer_is_that_of_the_library(inverso, prior, y):
    result = inverso("solve", "y.npz", "-A", "fft:0.5", "--prior", prior, "-m", "csgm+bp", "--seed", 3, "-o", "out.png")
    assert result.exit_code == 0, result.output
    answer = solver.solve(y, FFTMask(0.5), priors.load(prior), "csgm+bp", seed=3, progress=False)
    torch.testing.assert_close(load_image("out.png"), rounded(answer.image), atol=1.01 / 255, rtol=0)
    assert "csgm" in result.stdout
    assert "residual" in result.stdout
    assert "wrote out.png" in result.stdout


def test_several_starts_are_averaged(inverso, prior, y):
    words = ("solve", "y.npz", "-A", "fft:0.5", "--prior", prior, "-m", "csgm", "--starts", 2, "-o", "out.png")
    result = inverso(*words)
    assert result.exit_code == 0, result.output
    answer = solver.solve(y, FFTMask(0.5), priors.load(prior), "csgm", starts=2, progress=False)
    torch.testing.assert_close(load_image("out.png"), rounded(answer.image), atol=1.01 / 255, rtol=0)
    assert "of 2 starts" in result.stdout


def test_json_is_one_object_and_nothing_else(inverso, prior, y):
    words = ("solve", "y.npz", "-A", "fft:0.5", "--prior", prior, "-m", "csgm+bp", "-o", "out.png", "--json")
    report = json.loads(inverso(*words).stdout)
    assert {key: report[key] for key in ("input", "path", "psnr")} == {
        "input": "y.npz",
        "path": "out.png",
        "psnr": None,
    }
    assert [stage["name"] for stage in report["stages"]] == ["csgm", "bp"]
    assert all(stage["seconds"] >= 0 for stage in report["stages"])
    assert report["stages"][0]["evaluations"] > 0
    assert 0 <= report["residual"] < 1e-4


def test_simulated_photo_is_cropped_to_the_prior_measured_and_scored(inverso, prior, picture):
    words = (
        "solve",
        picture,
        "--simulate",
        "-A",
        "fft:0.5",
        "--noise",
        0.05,
        "--prior",
        prior,
        "-m",
        "csgm",
        "-o",
        "x.png",
    )
    report = json.loads(inverso(*words, "--json").stdout)
    x = load_image(picture, size=16)
    answer = solver.solve(
        FFTMask(0.5).measure(x, noise=0.05), FFTMask(0.5), priors.load(prior), "csgm", noise=0.05, progress=False
    )
    assert report["psnr"] == pytest.approx(float(psnr(answer.image, x)), abs=0.01)
    assert "psnr" in inverso(*words).stdout


def test_methods_without_a_prior_take_photos_of_any_size(inverso, picture):
    result = inverso("solve", picture, "--simulate", "-A", "bicubic:2", "-m", "pinv", "-o", "out.png")
    assert result.exit_code == 0, result.output
    x = load_image(picture)
    torch.testing.assert_close(load_image("out.png"), rounded(Bicubic(2).pinv(Bicubic(2)(x))), atol=1.01 / 255, rtol=0)


def test_random_projections_need_a_prior_or_a_size(inverso, picture):
    words = ("solve", "y.npz", "-A", "gaussian:50", "-m", "pinv", "-o", "out.png")
    assert inverso("degrade", picture, "--size", 16, "-A", "gaussian:50", "-o", "y.npz").exit_code == 0
    assert "needs the size of the image; give a prior or a size" in inverso(*words).stderr
    assert inverso(*words, "--size", 16).exit_code == 0
    assert load_image("out.png").shape == (1, 3, 16, 16)


@pytest.mark.parametrize(("given", "floor"), [(0.0, True), (0.1, False)])
def test_rounding_of_a_picture_counts_as_noise(inverso, picture, monkeypatch, given, floor):
    seen = []

    def spy(*args, **options):
        seen.append(options["noise"])
        return original(*args, **options)

    original = _solving.solve
    monkeypatch.setattr(_solving, "solve", spy)
    assert inverso("solve", picture, "-A", "identity", "-m", "pinv", "--noise", given, "-o", "out.png").exit_code == 0
    assert seen == [quantization_noise(picture) if floor else given]


def test_several_photos_go_to_a_folder(inverso, prior, tmp_path):
    (tmp_path / "photos").mkdir()
    for name in ("coffee", "cat"):
        save_image(photo(name, size=20), tmp_path / "photos" / f"{name}.jpg")
    (tmp_path / "photos" / "notes.txt").write_text("no picture")
    words = ("solve", "photos", "--simulate", "-A", "mask:0.5", "--prior", prior, "-m", "pinv", "-o", "answers")
    report = json.loads(inverso(*words, "--json").stdout)
    assert [image["path"] for image in report["images"]] == ["answers/cat.png", "answers/coffee.png"]
    x = load_image("photos/cat.jpg")
    expected = rounded(RandomMask(0.5).pinv(RandomMask(0.5)(x)))
    torch.testing.assert_close(load_image("answers/cat.png"), expected, atol=1.01 / 255, rtol=0)
    assert "answers/cat.png" in inverso(*words).stdout


def test_default_output_is_named_after_input_and_method(inverso, picture, tmp_path):
    assert inverso("solve", picture, "-A", "identity", "-m", "pinv").exit_code == 0
    assert (tmp_path / "photo-pinv.png").is_file()


def test_single_answer_may_go_to_a_folder(inverso, picture, tmp_path):
    (tmp_path / "out").mkdir()
    assert inverso("solve", picture, "-A", "identity", "-m", "pinv", "-o", "out").exit_code == 0
    assert (tmp_path / "out" / "photo.png").is_file()


def test_ctrl_c_keeps_the_best_image_so_far(inverso, prior, y, monkeypatch, tmp_path):
    original = stages.CSGM.__call__

    def interrupted(self, problem, state):
        found = original(self, problem, state)
        raise stages.InterruptedStage(StageFailure("csgm", 1, 1.0, found))

    monkeypatch.setattr(stages.CSGM, "__call__", interrupted)
    result = inverso("solve", "y.npz", "-A", "fft:0.5", "--prior", prior, "-m", "csgm", "-o", "out.png")
    assert result.exit_code == 130
    assert result.stderr.splitlines()[-2:] == ["the best image so far is in out.png", "error: interrupted"]
    assert (tmp_path / "out.png").is_file()


def test_a_restorer_says_what_it_was_trained_for(inverso, picture):
    said = inverso("solve", picture, "-m", "ff", "--restorer", "faces-64", "-o", "out.png").stdout
    assert "faces-64 was trained for this damage: White and RGB noise" in said
    assert "Small aligned portraits only" in said


def test_a_restorer_that_is_not_used_says_nothing(inverso, picture):
    result = inverso("solve", picture, "-A", "identity", "-m", "pinv", "--restorer", "faces-64", "-o", "out.png")
    assert result.exit_code == 0, result.output
    assert "trained for" not in result.stdout


def test_restorers_are_loaded_by_name(inverso, picture, monkeypatch):
    known = {"brighter": torch.nn.Hardtanh(0.9, 1.0)}
    monkeypatch.setattr(_networks, "load_restorer", known.__getitem__)
    result = inverso("solve", picture, "-m", "ff", "--restorer", "brighter", "-o", "out.png")
    assert result.exit_code == 0, result.output
    assert float(load_image("out.png").min()) >= 0.89


def test_a_prior_that_the_method_does_not_use_is_told(inverso, picture):
    words = ("solve", picture, "-A", "identity", "-o", "out.png")
    assert inverso(*words, "-m", "pinv", "--prior", "nope").stderr == "no effect of --prior nope: -m pinv uses none\n"
    assert inverso(*words, "-m", "pinv").stderr == ""


def test_a_file_that_cannot_be_read_does_not_stop_the_others(inverso, tmp_path):
    (tmp_path / "a.png").write_text("no picture")
    save_image(photo("cat", size=20), tmp_path / "b.png")
    result = inverso("solve", "a.png", "b.png", "-A", "identity", "-m", "pinv", "-o", "answers", "--json")
    broken, fine = json.loads(result.stdout)["images"]
    assert broken["input"] == "a.png"
    assert "a.png cannot be read as a picture" in broken["error"]
    assert fine["path"] == "answers/b.png"
    assert fine["notes"] == []
    assert (fine["method"], fine["stages"][0]["name"]) == ("pinv", "pinv")
    assert load_image("answers/b.png").shape == (1, 3, 20, 20)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: a.png cannot be read as a picture")


def test_several_measurements_in_one_file_are_tiled(inverso, tmp_path):
    save_measurement(torch.rand(2, 3, 8, 8), tmp_path / "y.npz")
    result = inverso("solve", "y.npz", "-A", "bicubic:2", "-m", "pinv", "-o", "out.png", "--json")
    assert json.loads(result.stdout)["residual"] < 1e-5
    assert load_image("out.png").shape == (1, 3, 20, 38)


def test_where_the_answer_goes_is_checked_before_the_work(inverso, picture):
    result = inverso("solve", picture, "-A", "identity", "-m", "pinv", "-o", "out.notapic")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: out.notapic does not end in the suffix of a picture format")
    assert "%" not in result.stderr, "no bar was shown"


def test_measurement_of_another_size_is_refused_by_name(inverso, prior, picture):
    save_measurement(FFTMask(0.5)(load_image(picture)), "large.npz")
    result = inverso("solve", "large.npz", "-A", "fft:0.5", "--prior", prior, "-m", "csgm", "-o", "out.png")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: large.npz: ")
    assert "(3, 16, 16)" in result.stderr


def test_gray_priors_read_gray(inverso, picture, tmp_path):
    with torch.random.fork_rng(devices=[]):
        priors.save_prior(priors.DCGAN(8, width=4, depth=2, channels=1), tmp_path / "gray.safetensors")
    words = ("-A", "bicubic:2", "--prior", "gray.safetensors", "-m", "csgm", "-o", "out.png", "--json")
    assert "psnr" in json.loads(inverso("solve", picture, "--simulate", *words).stdout)
    save_image(torch.rand(1, 8, 8), "y.png")
    assert inverso("solve", "y.png", *words).exit_code == 0
    assert load_measurement("y.png", channels=1).shape == (1, 1, 8, 8)


def test_diverged_answers_are_kept_too(inverso, prior, y, monkeypatch, tmp_path):
    original = stages.CSGM.__call__

    def diverged(self, problem, state):
        raise stages.NonFiniteLossError(StageFailure("csgm", 7, 1.0, original(self, problem, state)))

    monkeypatch.setattr(stages.CSGM, "__call__", diverged)
    result = inverso("solve", "y.npz", "-A", "fft:0.5", "--prior", prior, "-m", "csgm", "-o", "out.png")
    assert result.exit_code == 2
    assert "the best image so far is in out.png" in result.stderr
    assert "error: the loss of stage 'csgm' turned non-finite at step 7" in result.stderr
    assert (tmp_path / "out.png").is_file()


def test_the_same_command_goes_on_and_another_one_is_refused(inverso, tmp_path):
    (tmp_path / "photos" / "sub").mkdir(parents=True)
    for name in ("cat", "sub/coffee"):
        save_image(photo(name.rpartition("/")[2], size=20), tmp_path / "photos" / f"{name}.png")
    words = ("solve", "photos", "--simulate", "-A", "mask:0.5", "-m", "pinv", "-o", "photos/answers", "--workers", 1)
    first, second = inverso(*words), inverso(*words)
    assert (first.exit_code, second.exit_code) == (0, 0), first.output + second.output
    assert (tmp_path / "photos" / "answers" / "sub" / "coffee.png").is_file()
    assert "2 done" in first.stdout
    assert "0 done; 2 were there already" in second.stdout
    other = inverso(*words, "--noise", 0.1)
    assert other.exit_code == 2
    assert "noise (0.0 there, 0.1 now)" in other.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--on", "moon"), "--on must be local, ray or ray:ADDRESS, got 'moon'"),
        (("--on", "ray:"), "got 'ray:'"),
        (("--gpus", 1), "--on ray"),
        (("--on", "ray", "--device", "cpu"), "leave out --device cpu"),
        (("--time-limit", -1), "--time-limit must be greater than 0, got -1"),
    ],
    ids=str,
)
def test_places_that_are_none_are_refused(inverso, picture, words, said):
    result = inverso("solve", ".", "-A", "identity", "-m", "pinv", "-o", "out", *words)
    assert result.exit_code == 2
    assert said in result.stderr
    assert "\n" not in result.stderr.strip()


def test_without_ray_one_line_says_how_to_get_it(inverso, picture, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    result = inverso("solve", ".", "-A", "identity", "-m", "pinv", "-o", "out", "--on", "ray", "--json")
    assert result.exit_code == 2
    assert result.stderr == ("error: Ray() needs the package ray: pip install 'inverso-imaging[ray]'\n")
