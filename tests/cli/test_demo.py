"""`inverso demo`: a table of every method, and a picture."""

import pytest
from PIL import Image

from inverso import metrics, priors, solver
from inverso.cli import demo
from inverso.images.io import photo
from inverso.operators import FFTMask


def test_demo_prints_a_table_and_draws_a_picture(inverso, prior):
    result = inverso("demo", "--prior", prior, "--no-whole")
    assert result.exit_code == 0, result.output
    rows = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines() if line}
    assert set(demo._METHODS) < set(rows)
    assert all(len(rows[method]) == 3 for method in demo._METHODS)
    assert "wrote demo.png" in result.stdout
    with Image.open("demo.png") as drawn:
        assert drawn.width > 5 * drawn.height


@pytest.mark.slow
def test_shared_stages_give_what_each_method_gives_alone(prior):
    network, A, x = priors.load(prior), FFTMask(0.3), photo("astronaut", size=16)
    y = A.measure(x, noise=0.05)
    answers = demo._reconstruct(y, A, network, noise=0.05, seed=2)
    assert list(answers) == list(demo._METHODS)
    for method, answer in answers.items():
        alone = solver.solve(y, A, network, method, noise=0.05, seed=2, progress=False)
        assert float(metrics.psnr(answer.image, alone.image)) > 80
        assert [record.name for record in answer.stages] == [record.name for record in alone.stages]


@pytest.mark.parametrize("operator", ["bicubic:2", "gaussian:90"])
def test_demo_takes_other_operators_photos_and_formats(inverso, prior, operator, monkeypatch, tmp_path):
    monkeypatch.setattr(demo, "_METHODS", ("pinv",))
    result = inverso(
        "demo", "--prior", prior, "-A", operator, "--photo", "cat", "--noise", 0.02, "-o", "demo.svg", "--no-whole"
    )
    assert result.exit_code == 0, result.output
    assert (tmp_path / "demo.svg").read_text().startswith("<?xml")


def test_demo_refuses_a_gray_prior(inverso, tmp_path):
    priors.save_prior(priors.DCGAN(8, width=4, depth=2, channels=1), tmp_path / "gray.safetensors")
    result = inverso("demo", "--prior", "gray.safetensors")
    assert result.exit_code == 2
    assert "--prior gray.safetensors makes images of shape (1, 16, 16), and the demo needs" in result.stderr


def test_demo_shows_a_whole_photo_at_its_own_size(inverso, prior, monkeypatch):
    monkeypatch.setattr(demo, "_METHODS", ("pinv",))
    monkeypatch.setattr(demo, "_WHOLE_METHODS", ("interpolation", "zero-filled"))
    result = inverso("demo", "--prior", prior)
    assert result.exit_code == 0, result.output
    assert "20% of the points of a photo of 512 x 512 pixels" in result.stdout
    rows = [line.split() for line in result.stdout.splitlines() if line]
    scores = {row[0]: float(row[1]) for row in rows if row[0] in demo._WHOLE_METHODS}
    assert scores["interpolation"] > scores["zero-filled"] + 10
    with Image.open("demo-whole.png") as drawn:
        assert drawn.width > 3 * drawn.height
