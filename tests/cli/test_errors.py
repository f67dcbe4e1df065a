"""Bad input: exit code 2, one line on stderr, nothing on stdout, no file written."""

import os
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from inverso import __main__, __version__
from inverso.cli import models as models_command
from inverso.cli.app import app

BAD = {
    "missing photo": ("degrade none.png -A bicubic:4 -o y.png", "there is no file none.png"),
    "text as photo": ("degrade text.png -A bicubic:4 -o y.png", "text.png cannot be read as a picture"),
    "folder as photo": ("degrade . -A bicubic:4 -o y.png", ". is a folder"),
    "unknown operator": ("degrade photo.png -A warp:4 -o y.png", "unknown operator 'warp' in 'warp:4'; known: bicubic"),
    "ratio 2": ("degrade photo.png -A fft:2 -o y.npz", "keep must lie in (0, 1], got 2.0"),
    "noise -1": ("degrade photo.png -A bicubic:4 --noise -1 -o y.png", "--noise must be at least 0, got -1"),
    "noise nan": ("degrade photo.png -A bicubic:4 --noise nan -o y.png", "--noise must be"),
    "size 0": ("degrade photo.png -A bicubic:4 --size 0 -o y.png", "--size must be an integer of at least 1, got 0"),
    "indivisible size": ("degrade photo.png -A bicubic:5 -o y.png", "24"),
    "folder missing": ("degrade photo.png -A bicubic:4 -o none/y.png", "the folder none does not exist"),
    "unknown suffix": ("degrade photo.png -A bicubic:4 -o y.tensor", "suffix of a picture format"),
    "no operator": ("degrade photo.png -o y.png", "-A"),
    "noise no number": ("degrade photo.png -A bicubic:4 --noise much -o y.png", "Invalid value for '--noise'"),
    "noise in words": ("degrade photo.png -A bicubic:4 --noise much -o y.png", "'much'"),
    "missing y": ("solve none.png -A bicubic:4 --prior {prior} -o out.png", "there is no file none.png"),
    "text as npz": ("solve text.npz -A fft:0.3 --prior {prior} -o out.png", "text.npz cannot be read as an .npz"),
    "unknown prior": ("solve photo.png -A identity --prior fases-64 -o out.png", "did you mean 'faces-64'?"),
    "unknown method": ("solve photo.png -A identity -m magic -o out.png", "unknown method 'magic'"),
    "unknown schedule": ("solve photo.png -A identity --schedule slow -o out.png", "unknown schedule 'slow'"),
    "solve noise": (
        "solve photo.png -A identity -m pinv --simulate --noise -1 -o out.png",
        "--noise must be at least 0",
    ),
    "solve without A": ("solve photo.png --prior {prior} -m csgm -o out.png", "needs the operator"),
    "simulate without A": ("solve photo.png --simulate -m pinv -o out.png", "add -A, as in -A fft:0.3"),
    "ff without restorer": ("solve photo.png -m ff -o out.png", "needs a restorer"),
    "crop of a measurement": (
        "solve photo.png -A identity -m pinv --crop -o out.png",
        "no effect of --crop: photos are cropped before --simulate measures them",
    ),
    "crop of a damage": (
        "degrade photo.png --damage jpeg --crop -o y.png",
        "no effect of --crop: --damage takes photos of any size",
    ),
    "noise on a damage": ("degrade photo.png --damage jpeg --noise -1 -o y.png", "--noise must be at least 0, got -1"),
    "other size": ("solve photo.png --simulate -A identity --prior {prior} --size 9 -o o.png", "can only be 16, got 9"),
    "seed too large": ("solve photo.png -A identity -m pinv --seed 99999999999999999999 -o out.png", "--seed must fit"),
    "no such device": ("solve photo.png -A identity -m pinv --device gpu -o out.png", "device 'gpu' cannot be used"),
    "picture for fft": (
        "solve photo.png -A fft:0.3 -m pinv -o out.png",
        "if it is a photo that is yet to be measured, --simulate",
    ),
    "solve folder missing": ("solve photo.png -A identity -m pinv -o none/out.png", "the folder none does not exist"),
    "solve suffix": ("solve photo.png -A identity -m pinv -o out.xyz", "suffix of a picture format"),
    "two without folder": ("solve photo.png copy.png -A identity -m pinv", "several inputs need a folder"),
    "two to a file": ("solve photo.png copy.png -A identity -m pinv -o out.png", "several inputs need a folder"),
    "two to nowhere": ("solve photo.png copy.png -A identity -m pinv -o none/out", "the folder none does not exist"),
    "two of a name": (
        "solve photo.png sub/photo.png -A identity -m pinv -o out",
        "photo.png and sub/photo.png would both be written as photo",
    ),
    "empty value": ("degrade photo.png -A identity --output=", "the value of --output is empty: is a variable"),
    "workers for one": (
        "solve photo.png -A identity -m pinv --workers 4",
        "no effect of --workers: only many photos have that",
    ),
    "more workers than cores": (
        "solve photo.png copy.png -A identity -m pinv -o empty --workers 1000",
        "--workers must be at most ",
    ),
    "time for one": ("restore photo.png --time-limit 9 -o out.png", "no effect of --time-limit"),
    "again for one": ("restore photo.png --again -o out.png", "no effect of --again"),
    "ray for one": ("solve photo.png -A identity -m pinv --on ray", "no effect of --on"),
    "GPUs for one": ("restore photo.png --gpus 0.5 -o out.png", "no effect of --gpus"),
    "folder to a file": ("solve sub -A identity -m pinv -o out.png", "sub is a folder, whose answers need one"),
    "onto itself": ("solve photo.png -A identity -m pinv -o photo.png", "would be overwritten"),
    "onto the mask": ("solve photo.png --mask copy.png -m pinv -o copy.png", "copy.png is one of the inputs"),
    "onto a kernel": ("solve photo.png -A blur:copy.png -m pinv -o copy.png", "copy.png is one of the inputs"),
    "degrade onto itself": ("degrade photo.png -A bicubic:4 -o photo.png", "photo.png is one of the inputs"),
    "known onto the photo": (
        "degrade photo.png --damage jpeg -o y.png --known photo.png",
        "photo.png is one of the inputs",
    ),
    "known nowhere": ("degrade photo.png --damage jpeg -o y.png --known none/k.png", "the folder none does not exist"),
    "known no picture": ("degrade photo.png --damage jpeg -o y.png --known k.npz", "k.npz does not end in the suffix"),
    "known onto y": ("degrade photo.png --damage jpeg -o y.png --known y.png", "y.png is one of the inputs"),
    "restore onto the mask": ("restore photo.png --mask copy.png -o copy.png", "copy.png is one of the inputs"),
    "icon": ("restore photo.png -o out.ico", "suffix of a picture format"),
    "a blur too wide": ("restore photo.png --blur 9 -o out.png", "the photo of 24 x 24 pixels is too small"),
    "a face outside": ("restore photo.png --face-at 99,9,8 -o out.png", "outside of the photo of 24 x 24 pixels"),
    "option or file": ("restore -x.png -o out.png", "the file -x.png is given as ./-x.png"),
    "empty folder": ("solve empty -A identity -m pinv -o out", "the folder empty holds neither pictures nor .npz"),
    "demo prior": ("demo --prior none", "no file called 'none'"),
    "demo denoiser": (
        "demo --prior photos",
        "--prior photos is a denoiser, and the demo needs a generator of square color images: faces-64, ",
    ),
    "demo photo": ("demo --prior {prior} --photo none.png", "there is no file none.png"),
    "demo operator": ("demo --prior {prior} -A fft:0", "keep must lie in (0, 1], got 0.0"),
    "demo folder": ("demo --prior {prior} -o none/demo.png", "the folder none does not exist"),
    "demo over a folder": ("demo --prior {prior} -o taken.png", "taken.png is a folder"),
    "demo over its second folder": ("demo --prior {prior} -o second.png", "second-whole.png is a folder"),
    "demo onto the photo": ("demo --prior {prior} --photo photo.png -o photo.png", "photo.png is one of the inputs"),
    "known over a folder": ("degrade photo.png --damage jpeg -o y.png --known taken.png", "taken.png is a folder"),
    "demo suffix": ("demo --prior {prior} -o demo.txt", "demo.txt must end in one of .png"),
    "prior card": ("models fases-64", "did you mean 'faces-64'?"),
    "unknown command": ("degrad photo.png", "No such command 'degrad'"),
    "unknown option": ("models --all", "No such option"),
    "option in place of argument": ("single fit photo.png -o m.safetensors --min-size 2", "error: --min-size must be"),
    "train without data": ("train dcgan --out run", "needs --data"),
    "train on nothing": ("train dcgan --data none --out run -q", "none"),
}


@pytest.mark.parametrize(("command", "message"), BAD.values(), ids=BAD)
def test_bad_input_is_one_line_and_exit_2(inverso, picture, prior, tmp_path, command, message):
    for name in ("text.png", "text.npz"):
        (tmp_path / name).write_text("no picture")
    for name in ("copy.png", "sub/photo.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(picture.read_bytes())
    for name in ("empty", "taken.png", "second-whole.png"):
        (tmp_path / name).mkdir()
    (tmp_path / "-x.png").touch()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    result = inverso(*command.format(prior=prior).split())
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize("words", [("degrade", "photo.png", "-A", "identity"), ("solve", "photo.png", "-m", "pinv")])
def test_an_empty_output_is_not_the_current_folder(inverso, picture, tmp_path, words):
    result = inverso(*words, "-o", "")
    assert (result.exit_code, result.stderr) == (
        2,
        "error: the value of -o is empty: is a variable of a script unset?\n",
    )
    assert list(tmp_path.iterdir()) == [picture]


def test_warnings_are_one_line_each_and_speak_of_options(picture):
    """Of noise beyond all values, and of a mask as it is displayed, frequency 0 in the middle."""
    mask = np.zeros((24, 24), bool)
    mask[8:17, 8:17] = True
    np.save("mask.npy", mask)
    solve = f"solve {picture.name} --simulate -m pinv -o out.png"
    # pytest keeps the warnings of its own process.
    script = f"""
from inverso.cli.app import app
for words in ("{solve} -A identity --noise 25", "{solve} -A fft:mask.npy"):
    app(words.split(), standalone_mode=False)
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    of_noise, of_mask = (line for line in result.stderr.splitlines() if line.startswith("warning: "))
    assert of_noise.startswith("warning: --noise 25 is more than the whole range")
    assert "frequency 0" in of_mask
    assert "shifted=true" in of_mask
    assert result.stderr.count("frequency 0") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="needs file names of any bytes")
def test_a_terminal_that_lacks_a_letter_gets_it_escaped(picture):
    name = os.fsdecode(b"Gr\xfc\xdfe.png")
    words = ["degrade", picture.name, "-A", "identity", "-o", name]
    result = CliRunner(charset="latin-1").invoke(app, words)
    assert result.exit_code == 0
    assert result.stdout_bytes.startswith(rb"Gr\udcfc\udcdfe.png: 3 " + b"\xd7 24")


def test_debug_shows_where_an_error_comes_from(inverso):
    result = inverso("--debug", "degrade", "none.png", "-A", "bicubic:4", "-o", "y.png")
    assert isinstance(result.exception, FileNotFoundError)


def test_defects_keep_their_traceback(inverso, monkeypatch):
    def defect(cards):
        raise AssertionError("a defect")

    monkeypatch.setattr(models_command, "_print_list", defect)
    assert isinstance(inverso("models").exception, AssertionError)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: ...")])
def test_too_little_memory_is_one_line(inverso, monkeypatch, error):
    def fill(cards):
        raise error

    monkeypatch.setattr(models_command, "_print_list", fill)
    result = inverso("models")
    assert (result.exit_code, result.stderr) == (2, "error: this takes more memory than there is\n")


def test_ctrl_c_exits_130(inverso, monkeypatch):
    def stop(cards):
        raise KeyboardInterrupt

    monkeypatch.setattr(models_command, "_print_list", stop)
    result = inverso("models")
    assert (result.exit_code, result.stderr) == (130, "error: interrupted\n")


@pytest.mark.parametrize("words", [(), ("train",)])
def test_no_command_shows_the_help(inverso, words):
    result = inverso(*words)
    assert "Usage" in result.output
    assert "error:" not in result.output


def test_module_runs_as_a_program():
    command = [sys.executable, "-m", "inverso", "models", "none"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: no network is called 'none'")
    assert done.stderr.count("\n") == 1


QUICK = (
    "--version",
    "--help",
    "restore --help",
    "restore none.jpg",
    "restore photo.png --detector shape -o out.png",
    "restore photo.png --wrong",
    "solve none.png -A fft:0.3",
    "degrade none.png -A fft:0.3 -o y.png",
    "degrade photo.png -o y.png",
    "demo -o none/demo.png",
)


def test_help_and_mistyped_commands_do_not_wait_for_torch(picture):
    script = f"""
import sys
from inverso.cli.app import app
for words in {QUICK}:
    try:
        app(words.split())
    except SystemExit:
        assert "torch" not in sys.modules, words
"""
    subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)


@pytest.mark.parametrize("command", ["solve", "degrade"])
def test_help_lists_the_operators(inverso, command):
    told = " ".join(inverso(command, "--help").stdout.split())
    assert all(name in told for name in ("bicubic:4", "fft:0.3", "blur:kernel.png"))


def test_version_is_shown(inverso):
    result = inverso("--version")
    assert (result.exit_code, result.stdout) == (0, f"inverso {__version__}\n")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no device that is always full")  # noqa: PTH110
@pytest.mark.parametrize("words", ["--version", "--help", "models"])
def test_a_full_disk_behind_stdout_is_one_line(words):
    command = [sys.executable, "-m", "inverso", words]
    environment = {**os.environ, "PYTHONUNBUFFERED": ""}
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=environment, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.endswith("No space left on device\n")
    assert done.stderr.count("\n") == 1


def test_ctrl_c_during_the_imports_is_one_line(monkeypatch, capsys):
    class Interrupted:
        def __getattr__(self, name):
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "inverso.cli.app", Interrupted())
    with pytest.raises(SystemExit) as stop:
        __main__.main()
    assert stop.value.code == 130
    assert capsys.readouterr().err == "error: interrupted\n"
