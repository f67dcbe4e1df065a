"""The hub's own client against a stand-in of the hub on this machine."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest
import torch

import inverso
from interop.hub_server import Hub
from inverso._extras import MissingPackageError
from inverso._networks.hub import Address, pick
from inverso.errors import InversoError
from inverso.interop import push
from inverso.interop.hub import readme
from inverso.priors import DCGAN, save_prior
from inverso.priors.denoisers import DiffusionDenoiser, PhotoDenoiser
from inverso.priors.encoder import LatentEncoder
from inverso.restorers import MobileRestorer
from priors.denoisers.golden import DATA, arrays, assert_same
from priors.hostile import FORMATS, MARK, PAYLOADS

constants = pytest.importorskip("huggingface_hub.constants")
NETWORKS = {
    "prior": lambda: DCGAN(8, width=4, depth=2).eval(),
    "denoiser": lambda: PhotoDenoiser(channels=1, widths=(4, 4, 4), blocks=(1, 1, 1, 1, 1)).eval(),
    "encoder": lambda: LatentEncoder(16, (3, 16, 16), width=8).eval(),
    "restorer": lambda: MobileRestorer(width=4).eval(),
}
LOAD = {
    "prior": inverso.priors.load,
    "denoiser": inverso.priors.load,
    "encoder": inverso.priors.encoder.load,
    "restorer": inverso.restorers.load,
}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    hub = Hub()
    hub.start()
    # As the variables HF_ENDPOINT and HF_HUB_CACHE set them, which are read when the client is imported.
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace("https://huggingface.co", hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    yield hub
    hub.stop()


def stored(prior, path: Path) -> bytes:
    save_prior(prior, path)
    return path.read_bytes()


def same(actual, expected):
    torch.testing.assert_close(dict(actual.state_dict()), dict(expected.state_dict()), rtol=0, atol=0)


@pytest.mark.parametrize("kind", NETWORKS)
def test_what_is_pushed_is_loaded(hub, kind):
    network = NETWORKS[kind]()
    address = push(network, "me/tiny")
    digest = hub.names["me/tiny"]["main"]
    assert address == f"hf:me/tiny@{digest}"
    assert set(hub.commits["me/tiny"][digest]) == {".gitattributes", "README.md", "model.safetensors"}
    for given in (address, "hf:me/tiny", "hf:me/tiny/model.safetensors"):
        same(LOAD[kind](given, progress=False), network)


def test_a_revision_stays_what_it_was(hub, tmp_path):
    first, second = DCGAN(8, width=4, depth=2).eval(), DCGAN(8, width=4, depth=2, seed=1).eval()
    digest = hub.commit("a/b", {"model.safetensors": stored(first, tmp_path / "1.safetensors")})
    hub.names["a/b"]["v1"] = digest
    hub.commit("a/b", {"model.safetensors": stored(second, tmp_path / "2.safetensors")})
    for revision in ("v1", digest):
        same(inverso.priors.load(f"hf:a/b@{revision}", progress=False), first)
    same(inverso.priors.load("hf:a/b", progress=False), second)


def test_a_branch_is_pushed_to(hub):
    first, second = DCGAN(8, width=4, depth=2).eval(), DCGAN(8, width=4, depth=2, seed=1).eval()
    push(first, "me/tiny")
    hub.names["me/tiny"]["try"] = hub.names["me/tiny"]["main"]
    push(second, "me/tiny", revision="try", dtype=torch.float32)
    same(inverso.priors.load("hf:me/tiny", progress=False), first)
    same(inverso.priors.load("hf:me/tiny@try", progress=False), second)


def test_the_cache_does_without_the_hub(hub, tmp_path, monkeypatch):
    prior = DCGAN(8, width=4, depth=2).eval()
    hub.commit("a/b", {"net.safetensors": stored(prior, tmp_path / "w.safetensors")})
    inverso.priors.load("hf:a/b", progress=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    same(inverso.priors.load("hf:a/b", progress=False), prior)
    folder = str(tmp_path / "cache")
    page = r"fetch https://huggingface.co/c/d/\S+ elsewhere"
    message = rf"c/d from the hub: .*[^.]\. Without a network, {page} .* models--c--d .* {folder}"
    for given in ("hf:c/d", "hf:c/d@v2/net.pth"):
        with pytest.raises(InversoError, match=message):
            inverso.priors.load(given, progress=False)


def test_a_hub_that_cannot_be_reached_is_an_error_of_the_system(hub, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(OSError, match=r"could not publish me/tiny on the hub: .*[^.]$"):
        push(DCGAN(8, width=4, depth=2).eval(), "me/tiny")


FOLDER = DATA / "diffusers" / "pipeline"


def layout(kind):
    """A pipeline as diffusers saves it, and as google/ddpm has it: everything in one folder."""
    files = {path.relative_to(FOLDER).as_posix(): path.read_bytes() for path in FOLDER.rglob("*") if path.is_file()}
    if kind == "flat":
        files = {name.rpartition("/")[2]: data for name, data in files.items()}
    return {**files, "README.md": b"a U-Net", "images/sample.png": b"no picture"}


@pytest.mark.parametrize("kind", ["folders", "flat"])
def test_pipelines_of_diffusers(hub, kind):
    hub.commit("google/tiny", layout(kind))
    denoiser = inverso.priors.load("hf:google/tiny", kind=DiffusionDenoiser, progress=False)
    golden = arrays("diffusers/pipeline")
    assert_same(denoiser.network(golden["x"], golden["t"].float()), golden["out"])
    assert not any("png" in asked or "README" in asked for asked in hub.asked)
    folder = Path(constants.HF_HUB_CACHE) / "models--google--tiny" / "snapshots" / hub.names["google/tiny"]["main"]
    again = inverso.priors.load(folder, kind=DiffusionDenoiser)
    same(again, denoiser)


def test_one_of_many_files_is_named(hub, tmp_path):
    weights = stored(DCGAN(8, width=4, depth=2), tmp_path / "w.safetensors")
    hub.commit("a/b", {"one.safetensors": weights, "deep/two.safetensors": weights, "old.pth": b"no weights"})
    message = r"a/b has 2 files of weights: deep/two.safetensors, one.safetensors. Name one: hf:a/b/deep/two"
    with pytest.raises(ValueError, match=message):
        inverso.priors.load("hf:a/b", progress=False)
    assert inverso.priors.load("hf:a/b@main/deep/two.safetensors", progress=False).latent_shape == (8,)


def test_what_is_not_there_is_said(hub):
    hub.commit("a/b", {"README.md": b"nothing"})
    hub.commit("gated/b", {"net.pth": b""})
    for given, kind, message in (
        ("hf:no/one", ValueError, "no repository no/one on the hub"),
        ("hf:a/b", ValueError, r"a/b has no file of weights .*: README.md"),
        ("hf:a/b@v9", ValueError, "a/b has no revision 'v9'"),
        ("hf:a/b/net.pth", ValueError, "a/b has no file 'net.pth'"),
        (
            "hf:gated/b/net.pth",
            InversoError,
            "gated/b requires its terms to be accepted at https://huggingface.co/gated/b",
        ),
    ):
        with pytest.raises(kind, match=message):
            inverso.priors.load(given, progress=False)


@pytest.mark.parametrize("given", ["hf:", "hf:name", "hf:a/b@", "hf:a/b/../../etc/passwd", "hf:a/b@v1@v2/x\ny"])
def test_other_addresses_are_refused(given):
    with pytest.raises(ValueError, match="expected hf:OWNER/NAME"):
        inverso.priors.load(given)


def test_revisions_with_a_slash_are_written_as_in_addresses():
    assert Address.parse("hf:a/b@refs%2Fpr%2F1/net.pth") == Address("a/b", "refs/pr/1", "net.pth")


@pytest.mark.parametrize(
    ("files", "chosen"),
    [
        (["a.bin", "a.pth"], ("a.pth",)),
        (["a.pkl"], ("a.pkl",)),
        (["config.json", "a.safetensors"], ("a.safetensors",)),
        (
            ["config.json", "diffusion_pytorch_model.bin", "diffusion_pytorch_model.safetensors", "x.pth"],
            ("config.json", "diffusion_pytorch_model.safetensors"),
        ),
    ],
)
def test_what_is_fetched_of_a_repository(files, chosen):
    assert pick(files, Address("a/b")) == chosen


@pytest.mark.parametrize("payload", list(PAYLOADS)[:2])
def test_code_from_the_hub_is_refused_and_not_run(hub, tmp_path, monkeypatch, payload):
    monkeypatch.chdir(tmp_path)
    next(iter(FORMATS.values()))(PAYLOADS[payload], tmp_path / "trap.pth")
    hub.commit("a/trap", {"trap.pth": (tmp_path / "trap.pth").read_bytes()})
    for load in (inverso.priors.load, inverso.restorers.load):
        with pytest.raises(ValueError, match=r"trap\.pth"):
            load("hf:a/trap", progress=False)
    assert not (tmp_path / MARK).exists()


def test_the_card_is_the_readme(hub):
    card = inverso.priors.card("photos")
    denoiser = inverso.priors.load("photos")
    push(denoiser, "me/photos", card=card, dtype=torch.float16)
    tree = hub.commits["me/photos"][hub.names["me/photos"]["main"]]
    assert set(tree) == {".gitattributes", "README.md", "model.safetensors", "photos.md"}
    known = pytest.importorskip("huggingface_hub").ModelCard(tree["README.md"].decode())
    assert known.data.library_name == "inverso"
    assert known.data.license == "bsd-3-clause"
    assert {"inverso", "PhotoDenoiser"} <= set(known.data.tags)
    for said in (card.quality, card.bias, "3,080,076", 'inverso.priors.load("hf:me/photos")'):
        assert said in known.text


def test_terms_that_the_hub_has_no_name_for():
    card = dataclasses.replace(inverso.priors.card("faces-64"), license="Ask me", seed=None)
    text = readme(NETWORKS["prior"](), "me/tiny", card=card)
    assert "license: other\nlicense_name: Ask me\n" in text
    assert "| Seed |" not in text
    assert "license:" not in readme(NETWORKS["prior"](), "me/tiny")


def test_cards_and_networks_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="the card 'photos' is about a PhotoDenoiser, and the network is a DCGAN"):
        push(NETWORKS["prior"](), "me/tiny", card=inverso.priors.card("photos"))
    with pytest.raises(TypeError, match="got Linear"):
        push(torch.nn.Linear(1, 1), "me/tiny")


def test_without_the_package_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingPackageError, match=r"huggingface_hub: pip install 'inverso-imaging\[hub\]'"):
        inverso.priors.load("hf:a/b")
