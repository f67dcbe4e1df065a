from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from inverso._networks.files import read_file, tensors
from inverso.priors._formats.gan_zoo import BaseConfig
from priors.golden import DATA

WEIGHTS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(4, dtype=torch.float16)}


@pytest.mark.parametrize("zipped", [True, False])
def test_both_formats_of_torch_are_read(tmp_path, zipped):
    torch.save(WEIGHTS, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    torch.testing.assert_close(dict(read_file(tmp_path / "w.pth").data), WEIGHTS, rtol=0, atol=0)


def test_safetensors_are_read_with_their_metadata(tmp_path):
    save_file(WEIGHTS, tmp_path / "w.safetensors", metadata={"family": "none"})
    contents = read_file(tmp_path / "w.safetensors")
    torch.testing.assert_close(dict(contents.data), WEIGHTS, rtol=0, atol=0)
    assert contents.metadata == {"family": "none"}


@pytest.mark.parametrize("padding", range(0, 700, 40))
def test_safetensors_are_recognized_whatever_their_header_is_long(tmp_path, padding):
    save_file(WEIGHTS, tmp_path / "w", metadata={"text": "x" * padding})
    assert set(read_file(tmp_path / "w").data) == {"a", "b"}


def test_the_config_of_the_zoo_is_read_as_plain_attributes():
    config = read_file(DATA / "pgan_zoo_tiny.pth", classes=[BaseConfig]).data["config"]
    assert vars(config)["depthScale0"] == 16
    assert type(config).__mro__[1:] == (object,)


def test_reading_leaves_no_class_allowed():
    before = set(torch.serialization.get_safe_globals())
    read_file(DATA / "pgan_zoo_tiny.pth", classes=[BaseConfig])
    assert set(torch.serialization.get_safe_globals()) == before
    assert BaseConfig not in before


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"<!DOCTYPE html><html>404</html>", "it is a web page"),
        (b"\n  <html><body>Sign in</body></html>", "it is a web page"),
        (b"\xef\xbb\xbf<html>", "it is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "it is a Git LFS pointer"),
        (b"Not Found", "it is text or of another kind"),
        (b'{"message": "rate limit"}', "it is text or of another kind"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "it is text or of another kind"),
    ],
)
def test_what_is_no_checkpoint_is_refused(tmp_path, content, reason):
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=rf"w\.pth is not a checkpoint: {reason}.*torch\.save or safetensors was expected"
    ):
        read_file(path)


@pytest.mark.parametrize("kept", [0.02, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("form", ["zip", "legacy", "safetensors"])
def test_truncated_files_are_refused(tmp_path, form, kept):
    path = tmp_path / "w.pth"
    weights = {name: torch.ones(200) for name in "abc"}
    if form == "safetensors":
        save_file(weights, path)
    else:
        torch.save(weights, path, _use_new_zipfile_serialization=form == "zip")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(ValueError, match=r"w\.pth cannot be read"):
        read_file(path)


def test_zip_archives_of_other_things_are_refused(tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "w.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(ValueError, match=r"w\.zip cannot be read as a checkpoint"):
        read_file(tmp_path / "w.zip")


@pytest.mark.parametrize("content", [[torch.zeros(2)], torch.zeros(2), 3, {1: torch.zeros(2)}])
def test_other_contents_are_refused(tmp_path, content):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"w\.pth is not a checkpoint: it holds a \w+ in place of tensors by name"):
        read_file(tmp_path / "w.pth")


@pytest.mark.parametrize("name", ["missing.pth", "."])
def test_what_is_no_file_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"is not a file; a checkpoint .* was expected"):
        read_file(tmp_path / name)


class TestTensors:
    def test_half_precision_becomes_single_and_integers_stay(self):
        state = tensors({"a": torch.ones(2, dtype=torch.float16), "n": torch.tensor(3)})
        assert state["a"].dtype == torch.float32
        assert state["n"].dtype == torch.int64

    @pytest.mark.parametrize(
        ("value", "found"),
        [
            (3, "a int"),
            ({"a": torch.zeros(2)}, "a dict"),
            (torch.zeros(2, 2).to_sparse(), "a torch.sparse_coo tensor"),
            (torch.zeros(2, device="meta"), "a torch.strided tensor"),
            (torch.zeros(2, dtype=torch.complex64), "a torch.strided tensor"),
        ],
    )
    def test_what_is_no_plain_tensor_is_refused(self, value, found):
        with pytest.raises(ValueError, match=f"its entry 'w' is {found}, where a dense real tensor was expected"):
            tensors({"w": value})

    @pytest.mark.parametrize("bad", [float("nan"), float("inf")])
    def test_what_is_not_finite_is_refused(self, bad):
        with pytest.raises(ValueError, match="its tensor 'w' holds NaN or infinity"):
            tensors({"w": torch.tensor([0.0, bad])})
