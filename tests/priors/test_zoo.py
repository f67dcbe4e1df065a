from __future__ import annotations

import dataclasses
import math
import re
from importlib.resources import files
from pathlib import Path

import pytest
import torch

from inverso._networks import files as checkpoints
from inverso._networks.download import cache_folder
from inverso.errors import InversoError
from inverso.images import photo
from inverso.priors import DCGAN, PGGAN, Denoiser, _zoo, available, card, load, save_prior

EMBEDDED = tuple(known for known in available() if known.url is None)


class TestRegistry:
    def test_names_are_unique_and_the_embedded_priors_come_first(self):
        names = [known.name for known in available()]
        assert len(set(names)) == len(names)
        assert names[:5] == ["faces-64", "faces-64-style", "faces-128", "photos", "faces-64-denoiser"]
        assert EMBEDDED == available()[:5]

    def test_a_card_is_found_by_its_name(self):
        assert all(card(known.name) is known for known in available())

    @pytest.mark.parametrize("known", available(), ids=lambda known: known.name)
    def test_every_card_is_filled_in(self, known):
        for field in dataclasses.fields(known):
            if field.default is dataclasses.MISSING and field.name != "image_shape":
                assert getattr(known, field.name), field.name
        if known.kind == "denoiser":
            assert known.image_shape is None or known.image_shape[0] in {1, 3}
        else:
            assert known.family in ("DCGAN", "PGGAN", "StyleGAN2", "VAE")
            assert f"-{known.image_shape[1]}-" in f"{known.name}-"

    @pytest.mark.parametrize("known", available()[len(EMBEDDED) :], ids=lambda known: known.name)
    def test_addresses_carry_the_hash_that_is_checked_where_upstream_publishes_one(self, known):
        assert known.url.startswith("https://")
        if known.hash is None:
            assert known.kind == "denoiser" or known.family == "StyleGAN2"
            assert known.kind == "denoiser" or (known.url.endswith(".pkl") and "nvidia.com/" in known.url)
            return
        kind, digits = known.hash.split(":")
        if kind == "sha256":
            assert known.url.endswith(f"-{digits}.pth")
        else:
            assert (kind, digits) == ("git-blob-sha1", "754ddb07be65")

    def test_cards_cannot_be_changed(self):
        with pytest.raises(dataclasses.FrozenInstanceError):
            card("faces-64").name = "mine"


@pytest.mark.parametrize("known", EMBEDDED, ids=lambda known: known.name)
def test_embedded_priors_come_with_a_card_to_read(known):
    text = (files("inverso.priors") / "weights" / f"{known.name}.md").read_text()
    assert text.startswith(f"# {known.name}\n")


class TestEmbeddedPhotos:
    def test_it_denoises_a_photo_at_the_error_of_its_card(self):
        """On the portrait of the astronaut, which was not among the photos it was trained on."""
        denoise, x, sigma = load("photos", kind=Denoiser), photo("astronaut", size=None)[..., :160, 150:310], 25 / 255
        noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            answer = denoise(x + sigma * noise, sigma)
        error = float((answer - x).square().mean().sqrt())
        assert error == pytest.approx(denoise.error(sigma), rel=0.25)
        assert -20 * math.log10(error) > 30

    def test_every_photo_it_was_trained_on_is_credited(self):
        text = (files("inverso.priors") / "weights" / "photos.md").read_text()
        rows = text.split("| photo | by | license | source |")[1].strip().splitlines()[1:]
        assert len(rows) == 54
        assert all("CC BY" in row or "CC-BY" in row or "CC0" in row or "ublic" in row for row in rows)
        assert not any("SA" in row.split("|")[3] for row in rows)


@pytest.mark.parametrize("known", EMBEDDED[:3], ids=lambda known: known.name)
class TestEmbeddedFaces:
    def test_they_load_as_their_card_announces(self, known):
        prior = load(known.name)
        assert type(prior).__name__ == known.family
        side = int(known.name.split("-")[1])
        assert prior.image_shape == known.image_shape == (3, side, side)
        assert prior.latent_shape == (known.latent_dim,)
        assert not prior.training

    def test_samples_look_like_pictures(self, known):
        prior = load(known.name)
        with torch.no_grad():
            images = prior(prior.sample_latent(16))
        assert images.isfinite().all()
        assert ((images < -0.2) | (images > 1.2)).float().mean() < 0.01
        assert images.std(dim=0).mean() > 0.05
        assert (images[..., 1:] - images[..., :-1]).abs().mean() < 0.1


class TestMissingWeights:
    def test_missing_weights_are_told(self, monkeypatch, tmp_path):
        monkeypatch.setattr(checkpoints, "files", lambda _: tmp_path)
        with pytest.raises(InversoError, match="the weights of 'faces-64' are missing from this installation"):
            load("faces-64")


class TestLoad:
    @pytest.mark.parametrize("kind", [str, Path])
    def test_a_path_is_read(self, tmp_path, kind):
        prior = DCGAN(8, width=4, depth=2).eval()
        save_prior(prior, tmp_path / "mine.safetensors")
        z = prior.sample_latent(1)
        torch.testing.assert_close(load(kind(tmp_path / "mine.safetensors"))(z), prior(z), rtol=0, atol=0)

    def test_a_name_wins_over_a_file_and_the_file_has_a_way_in(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        save_prior(DCGAN(8, width=4, depth=2), tmp_path / "pggan-dtd-128")

        def refuse(*arguments, **options):
            message = "downloads"
            raise InversoError(message)

        monkeypatch.setattr("inverso._networks.zoo.fetch", refuse)
        with pytest.raises(InversoError, match="downloads"):
            load("pggan-dtd-128")
        assert load("./pggan-dtd-128").image_shape == (3, 16, 16)

    def test_unknown_names_are_told_from_the_known_ones(self):
        message = (
            "there is no prior and no file called 'face-64'; did you mean 'faces-64'[?] Known priors: faces-64, face"
        )
        with pytest.raises(ValueError, match=message):
            load("face-64")
        with pytest.raises(ValueError, match="no prior is called 'zzz'; known priors: faces-64"):
            card("zzz")

    def test_missing_files_are_told(self, tmp_path):
        with pytest.raises(ValueError, match=r"there is no prior and no file called '.*mine\.pth'"):
            load(tmp_path / "mine.pth")

    def test_folders_are_refused(self, tmp_path):
        with pytest.raises(ValueError, match="is not a file; a checkpoint"):
            load(tmp_path)

    @pytest.mark.parametrize("given", [3, None, b"faces-64"])
    def test_other_types_are_refused(self, given):
        with pytest.raises(
            TypeError, match=r"load takes the name of a prior or the path of a file, got (int|NoneType|bytes)"
        ):
            load(given)


class TestDownloadByName:
    """The registry pointed at a folder, with small networks in place of the published ones."""

    @pytest.fixture
    def publish(self, tmp_path, monkeypatch):
        monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))

        def publish(prior, **changes):
            path = tmp_path / "tiny.safetensors"
            save_prior(prior, path)
            known = dataclasses.replace(card("pggan-dtd-128"), url=path.as_uri(), hash=None, **changes)
            monkeypatch.setattr(_zoo.ZOO, "cards", (known,))
            return path

        return publish

    def test_it_is_downloaded_to_the_cache_and_loaded(self, publish):
        prior = PGGAN(6, widths=(5, 4))
        publish(prior, image_shape=(3, 8, 8), latent_dim=6)
        loaded = load("pggan-dtd-128", progress=False)
        z = prior.sample_latent(2)
        torch.testing.assert_close(loaded(z), prior(z), rtol=0, atol=0)
        assert (cache_folder() / "tiny.safetensors").is_file()

    def test_a_wrong_hash_is_refused(self, publish, monkeypatch):
        publish(PGGAN(6, widths=(5, 4)))
        wrong = dataclasses.replace(_zoo.ZOO.cards[0], hash="sha256:00000000")
        monkeypatch.setattr(_zoo.ZOO, "cards", (wrong,))
        with pytest.raises(InversoError, match="does not start with sha256:00000000"):
            load("pggan-dtd-128", progress=False)
        assert not (cache_folder() / "tiny.safetensors").exists()

    def test_another_network_than_announced_is_refused(self, publish):
        publish(PGGAN(6, widths=(5, 4)), image_shape=(3, 16, 16), latent_dim=6)
        with pytest.raises(InversoError, match=re.escape("holds ('PGGAN', (3, 8, 8), (6,)) where its card announces")):
            load("pggan-dtd-128", progress=False)
