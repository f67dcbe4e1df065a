"""`inverso quantize` and `inverso export`: a restorer in few bits and as ONNX, from the command line."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from inverso.compression import round_model
from inverso.compression.packing import read_quantized
from inverso.images.io import load_image, photo, save_image
from inverso.restorers import MobileRestorer, load, save_restorer

COLUMNS = ["weights", "bits", "bytes", "average", "white-noise", "rgb-noise", "white-box"]


@pytest.fixture(scope="module")
def restorer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of an untrained restorer."""
    path = tmp_path_factory.mktemp("restorer") / "tiny.safetensors"
    save_restorer(MobileRestorer(width=4), path)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("cat", "coffee", "camera", "rocket", "astronaut"):
        save_image(photo(name, size=16), folder / f"{name}.png")
    return folder


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "quantized.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_it_writes_a_file_per_bit_width_a_table_and_a_picture(inverso, restorer: Path, photos: Path) -> None:
    result = inverso("quantize", restorer, "--data", photos, "-o", "small", "--bits", "4,8,1", "--size", 16, "-q")
    assert result.exit_code == 0, result.output
    assert {path.name for path in Path("small").iterdir()} == {
        "quantized.csv",
        "quantized.png",
        "tiny-1bit.safetensors",
        "tiny-4bit.safetensors",
        "tiny-8bit.safetensors",
    }
    table = rows(Path("small"))
    assert list(table[0]) == COLUMNS
    assert [row["weights"] for row in table] == ["input", "32-bit", "8-bit", "4-bit", "1-bit"]
    for row in table[2:]:
        path = Path("small", f"tiny-{row['bits']}bit.safetensors")
        assert int(row["bytes"]) == path.stat().st_size
        assert read_quantized(path).bits == int(row["bits"])
    for row in table:
        assert float(row["average"]) == pytest.approx(sum(float(row[name]) for name in COLUMNS[4:]) / 3, abs=2e-3)
    assert "mean of 5 photos: their central squares, resized to 16 x 16 pixels" in result.stdout
    for word in ("input", "32-bit", "1-bit", "white-noise", "MB"):
        assert word in result.stdout
    height, width = load_image("small/quantized.png").shape[2:]
    assert 1.4 < width / height < 2  # six columns, three rows with captions


def test_the_files_are_the_rounded_restorer(inverso, restorer: Path, photos: Path) -> None:
    words = ("--bits", 3, "--per-channel", "--size", 16, "-q")
    result = inverso("quantize", restorer, "--data", photos, "-o", "small", *words)
    assert result.exit_code == 0, result.output
    packed, expected = load("small/tiny-3bit.safetensors"), round_model(load(restorer), bits=3, per_channel=True)
    torch.testing.assert_close(packed.state_dict(), expected.state_dict(), rtol=0, atol=0)


def test_8_bits_are_as_good_as_32_and_1_bit_is_not(inverso, restorer: Path, photos: Path) -> None:
    inverso("quantize", restorer, "--data", photos, "-o", "small", "--bits", "1,8", "--size", 16, "-q")
    quality = {row["weights"]: float(row["average"]) for row in rows(Path("small"))}
    assert abs(quality["8-bit"] - quality["32-bit"]) < 0.1
    assert abs(quality["1-bit"] - quality["32-bit"]) > 0.1


@pytest.mark.slow
def test_tuning_and_clipping_give_better_files_than_rounding(inverso, restorer: Path, photos: Path) -> None:
    common = ("--data", photos, "--bits", 2, "--size", 16, "--n", 2, "-q")
    for out, words in (("plain", ()), ("tuned", ("--fine-tune", 20, "--batch", 3)), ("clipped", ("--clip",))):
        result = inverso("quantize", restorer, *common, "-o", out, *words)
        assert result.exit_code == 0, result.output
    quality = {out: float(rows(Path(out))[-1]["average"]) for out in ("plain", "tuned", "clipped")}
    assert quality["tuned"] > quality["plain"] + 0.2
    assert quality["clipped"] != quality["plain"]


@pytest.mark.parametrize(("batch", "told"), [(3, ""), (4, "there are 3 photos to learn from, so that a batch has 3")])
def test_a_batch_of_more_photos_than_there_are_is_told(inverso, restorer: Path, photos: Path, batch: int, told) -> None:
    words = ("--fine-tune", 1, "--batch", batch, "--n", 2, "--bits", 4, "--size", 16, "-q")
    result = inverso("quantize", restorer, "--data", photos, "-o", "small", *words)
    assert result.exit_code == 0, result.output
    assert result.stderr.startswith(told)
    assert result.stderr.count("\n") == bool(told)


def test_photos_to_tune_on_can_lie_elsewhere(inverso, restorer: Path, photos: Path) -> None:
    words = ("--fine-tune", 1, "--train", photos, "--batch", 2, "--bits", 4, "--size", 16, "--json")
    result = inverso("quantize", restorer, "--data", photos, "-o", "small", *words)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["photos"] == 5
    assert [row["weights"] for row in report["rows"]] == ["input", "32-bit", "4-bit"]
    assert report["rows"][-1]["path"] == str(Path("small", "tiny-4bit.safetensors"))


def test_other_corruptions_can_be_measured(inverso, restorer: Path, photos: Path) -> None:
    words = ("--corruptions", "points, white-block", "--bits", 16, "--size", 16, "-q")
    result = inverso("quantize", restorer, "--data", photos, "-o", "small", *words)
    assert result.exit_code == 0, result.output
    assert list(rows(Path("small"))[0])[4:] == ["points", "white-block"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--bits", "8,x"), "--bits must be numbers joined by commas, as in 8,6,4, got '8,x'"),
        (("--bits", "9"), "--bits must be 1 to 8, or 16 for float16, got 9"),
        (("--corruptions", "rain"), "no degradation is called 'rain'; known ones: white-noise"),
        (("--n", "0"), "--n must be an integer of at least 1, got 0"),
        (("--fine-tune", "-1"), "--fine-tune must be an integer of at least 0, got -1"),
        (("--keep", "1.5"), "--keep must lie in (0, 1], got 1.5"),
        (("--data", "nowhere"), "--data must be a folder of pictures, and nowhere is not a folder"),
        (("--data", "empty"), "--data must be a folder of pictures, and empty holds none"),
        (("--fine-tune", "1", "--train", "nowhere"), "--train must be a folder of pictures, and nowhere is not"),
        (("--train", "photos"), "no effect of --train: nothing is tuned; add --fine-tune STEPS"),
        (("--lr", "0.1", "--batch", "3"), "no effect of --lr, --batch: nothing is tuned; add --fine-tune STEPS"),
        (("--precision", "bf16-mixed"), "no effect of --precision: nothing is tuned; add --fine-tune STEPS"),
        (("--bits", "16", "--clip", "--fine-tune", "2"), "no effect of --clip, --fine-tune: 16 bits are float16"),
        (("--bits", "16", "--per-channel"), "no effect of --per-channel: 16 bits are float16"),
        (("--corruptions", "white-box,jpeg", "--keep", "0.3"), "neither white-noise nor rgb-noise; leave it out"),
        (("--fine-tune", "1", "--lr", "0"), "--lr must be greater than 0, got 0"),
        (("--size", "7"), "of at least 8"),
        (("-o", "empty/file"), "--out must be a folder, and empty/file is a file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_requests_end_in_one_line(inverso, restorer: Path, photos: Path, words, message: str) -> None:
    Path("empty").mkdir()
    Path("empty/file").touch()
    result = inverso("quantize", restorer, "--data", photos, "-o", "small", "--size", 16, "-q", *words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not Path("small").exists()


def test_one_photo_cannot_be_tuned_and_measured_on(inverso, restorer: Path, picture: Path) -> None:
    (picture.parent / "one").mkdir()
    picture.rename(picture.parent / "one" / picture.name)
    result = inverso("quantize", restorer, "--data", "one", "-o", "small", "--fine-tune", 1, "-q")
    assert result.exit_code == 2
    assert "one holds 1 photo, too few to tune on some and measure on others: add --train DIR" in result.stderr


def test_unknown_restorers_are_named(inverso, photos: Path) -> None:
    quantize = ("quantize", "nobody", "--data", photos, "-o", "small")
    for command, what in ((quantize, "there is no restorer and no file"), (("export", "nobody", "-o", "x.onnx"), "no")):
        result = inverso(*command)
        assert result.exit_code == 2
        assert f"{what}" in result.stderr
        assert "called 'nobody'" in result.stderr


class TestExport:
    """`inverso export`."""

    @pytest.fixture(autouse=True)
    def _needs_onnx(self) -> None:
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnxscript")

    @pytest.mark.slow
    def test_the_file_restores_as_the_restorer(self, inverso, restorer: Path) -> None:
        from inverso.compression.onnx import run_onnx

        result = inverso("export", restorer, "-o", "tiny.onnx", "--size", 16)
        assert result.exit_code == 0, result.output
        assert result.stdout.startswith("wrote tiny.onnx (")
        y = photo("cat", size=24)
        with torch.no_grad():
            expected = load(restorer)(y)
        torch.testing.assert_close(run_onnx("tiny.onnx", y), expected, rtol=0, atol=1e-4)

    @pytest.mark.parametrize("measured", [False, True])
    def test_int8_is_asked_of_the_quantizer(
        self, inverso, monkeypatch, restorer: Path, photos: Path, measured: bool
    ) -> None:
        seen = {}

        def to_onnx(model, path, *, size):
            path.write_text(f"{type(model).__name__} of size {size}")

        def quantize_onnx(path, out, *, images):
            seen.update(images=images)
            out.write_text(f"{path.read_text()} in 8 bits")

        monkeypatch.setattr("inverso.compression.onnx.to_onnx", to_onnx)
        monkeypatch.setattr("inverso.compression.onnx.quantize_onnx", quantize_onnx)
        words = ("--data", photos, "--n", 3) if measured else ()
        result = inverso("export", restorer, "-o", "int8.onnx", "--int8", "--size", 16, *words)
        assert result.exit_code == 0, result.output
        assert Path("int8.onnx").read_text() == "MobileRestorer of size 16 in 8 bits"
        assert (seen["images"].shape == (3, 3, 16, 16)) if measured else (seen["images"] is None)
        assert result.stderr == ""
        if measured:
            more = inverso("export", restorer, "-o", "int8.onnx", "--int8", "--size", 16, "--data", photos)
            assert more.stderr == "--data has 5 photos, fewer than --n 32: all are taken\n"

    def test_denoisers_and_generators_by_name(self, inverso, monkeypatch) -> None:
        asked = []
        monkeypatch.setattr(
            "inverso.compression.onnx.to_onnx",
            lambda model, path, **_: path.write_text(asked.append(type(model).__name__) or "x"),
        )
        for words in (("photos",), ("faces-64", "--kind", "prior"), ("faces-64",), ("faces-64-style",)):
            assert inverso("export", *words, "-o", "x.onnx").exit_code == 0
        assert asked == ["PhotoDenoiser", "DCGAN", "UNetRestorer", "StyleGAN2"]

    def test_a_file_of_any_kind(self, inverso, monkeypatch) -> None:
        from inverso.priors import VAE, save_prior

        asked = []
        monkeypatch.setattr(
            "inverso.compression.onnx.to_onnx",
            lambda model, path, **_: path.write_text(asked.append(type(model).__name__) or "x"),
        )
        save_prior(VAE(3, hidden=4), "vae.safetensors")
        assert inverso("export", "vae.safetensors", "-o", "x.onnx").exit_code == 0
        assert asked == ["VAE"]
        Path("text.safetensors").write_text("no network")
        result = inverso("export", "text.safetensors", "-o", "x.onnx")
        assert (result.exit_code, "holds no restorer" in result.stderr) == (2, True)

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ("-o x.txt", "x.txt must end in .onnx"),
            ("-o none/x.onnx", "the folder none does not exist"),
            ("--web file", "--web must be a folder, and file is a file"),
            ("--web site --bits 9", "--bits must be 1 to 8, 16 for float16 or 32 for float32, got 9"),
        ],
        ids=lambda text: text.split()[0] + text.split()[1],
    )
    def test_outputs_that_cannot_be_written_are_refused_before_the_work(
        self, inverso, monkeypatch, words: str, message: str
    ) -> None:
        for where in ("inverso.compression.onnx", "inverso.browser._page"):
            monkeypatch.setattr(f"{where}.to_onnx", lambda *_, **__: pytest.fail("it was exported"))
        Path("file").touch()
        result = inverso("export", "faces-64", *words.split())
        assert (result.exit_code, message in result.stderr) == (2, True), result.stderr

    def test_what_does_not_fit_the_kind_is_refused(self, inverso, photos: Path) -> None:
        result = inverso("export", "photos", "-o", "x.onnx", "--kind", "picture")
        assert (result.exit_code, "'restorer', 'prior', got 'picture'" in result.stderr) == (2, True)
        result = inverso("export", "photos", "-o", "x.onnx", "--int8", "--data", photos)
        assert (result.exit_code, "photos is a PhotoDenoiser" in result.stderr) == (2, True)

    def test_a_page_is_written_with_what_was_said(self, inverso, monkeypatch, restorer: Path) -> None:
        from inverso.browser import Page

        asked = []

        def write_page(network, folder, **settings):
            asked.append((type(network).__name__, folder, settings))
            return Page(folder, 4_000_000, 14_000_000, 1 / 255, settings["bits"] or 8)

        monkeypatch.setattr("inverso.browser.write_page", write_page)
        result = inverso("export", "photos", "--web", "site", "--bits", 4, "--no-webgpu", "--runtime", "ort")
        assert (result.exit_code, "4.00 MB" in result.stdout, "1.00 of 255" in result.stdout) == (0, True, True)
        assert "4 bits a weight" in result.stdout
        assert inverso("export", restorer, "--web", "own").exit_code == 0
        (first, folder, settings), (second, _, others) = asked
        assert (first, folder, settings["card"].name) == ("PhotoDenoiser", Path("site"), "photos")
        assert settings["name"] == "photos"
        assert (settings["bits"], settings["webgpu"], settings["runtime"]) == (4, False, Path("ort"))
        assert (second, others["card"], others["name"]) == ("MobileRestorer", None, Path(restorer).stem)

    @pytest.mark.parametrize(
        "words", [(), ("-o", "x.onnx", "--web", "site"), ("--web", "site", "--int8"), ("-o", "x.onnx", "--bits", "4")]
    )
    def test_one_kind_of_output_at_a_time(self, inverso, words: tuple[str, ...]) -> None:
        result = inverso("export", "photos", *words)
        assert (result.exit_code, "--web" in result.stderr or "--bits" in result.stderr) == (2, True)

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ("--web site --n 9 --size 16 --seed 1", "no effect of --n, --size, --seed: only an ONNX file has that"),
            ("-o x.onnx --no-webgpu", "no effect of --webgpu: only a page has that, with --web DIR"),
            ("-o x.onnx --int8 --n 9 --seed 1", "no effect of --n, --seed: there are no photos to choose and degrade"),
        ],
    )
    def test_options_without_effect_are_refused(self, inverso, words: str, message: str) -> None:
        result = inverso("export", "photos", *words.split())
        assert (result.exit_code, message in result.stderr) == (2, True), result.stderr

    def test_photos_without_int8_are_refused(self, inverso, restorer: Path, photos: Path) -> None:
        result = inverso("export", restorer, "-o", "tiny.onnx", "--data", photos)
        assert result.exit_code == 2
        assert "add --int8" in result.stderr

    def test_without_the_extra_it_says_what_to_install(self, inverso, monkeypatch, restorer: Path) -> None:
        monkeypatch.setitem(sys.modules, "onnxscript", None)
        result = inverso("export", restorer, "-o", "tiny.onnx")
        assert result.exit_code == 2
        assert "export needs the package onnxscript: pip install 'inverso-imaging[export]'" in result.stderr


def test_only_the_named_layers_are_packed(inverso, restorer: Path, photos: Path) -> None:
    options = ("--data", photos, "--bits", "1", "--size", 16, "-q")
    assert inverso("quantize", restorer, *options, "-o", "all").exit_code == 0
    result = inverso("quantize", restorer, *options, "-o", "few", "--layers", "*.0.weight")
    assert result.exit_code == 0, result.output
    assert Path("few/tiny-1bit.safetensors").stat().st_size > Path("all/tiny-1bit.safetensors").stat().st_size


@pytest.mark.parametrize(
    ("option", "message"),
    [(("--layers", "head.*"), "no weight is called"), (("--precision", "16"), "--precision must be one of '32-true'")],
)
def test_unknown_layers_and_precisions_are_refused(inverso, restorer: Path, photos: Path, option, message) -> None:
    result = inverso("quantize", restorer, "--data", photos, "-o", "small", "--size", 16, "-q", *option)
    assert result.exit_code == 2
    assert message in result.output
    assert not Path("small").exists()


def test_a_plain_install_quantizes_and_fits_a_photo(restorer: Path, photos: Path, tmp_path: Path) -> None:
    script = f"""
import sys
from inverso._extras import EXTRAS
sys.modules.update(dict.fromkeys(EXTRAS))
from inverso.cli.app import app
quantize = "quantize {restorer} --data {photos} -o small --bits 4 --fine-tune 1 --batch 1 --n 2 --size 16 -q"
fit = "single fit {photos}/cat.png -o m.safetensors --min-size 12 --width 2 --steps 1 -q"
for words in (quantize, fit):
    app(words.split(), standalone_mode=False)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {"small", "m.safetensors"} <= {path.name for path in tmp_path.iterdir()}
