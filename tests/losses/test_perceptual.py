"""The perceptual loss on random backbones: where it looks, how it weighs, and what it says without a network."""

from __future__ import annotations

from pathlib import Path
from urllib.error import URLError

import pytest
import torch

from inverso.errors import InversoError
from inverso.losses.perceptual import _BACKBONES, Perceptual

models = pytest.importorskip("torchvision.models")


@pytest.fixture(scope="module")
def squeezenet() -> Perceptual:
    return Perceptual("squeezenet1_1", pretrained=False)


def test_it_is_zero_on_equal_images_and_positive_on_others(squeezenet: Perceptual) -> None:
    x, other = torch.rand(2, 2, 3, 32, 32)
    assert float(squeezenet(x, x)) == 0
    assert float(squeezenet(other, x)) > 0


def test_gradients_reach_the_image_and_not_the_backbone(squeezenet: Perceptual) -> None:
    image, target = torch.rand(1, 3, 32, 32, requires_grad=True), torch.rand(1, 3, 32, 32, requires_grad=True)
    squeezenet(image, target).backward()
    assert image.grad is not None
    assert bool(image.grad.any())
    assert target.grad is None
    assert all(parameter.grad is None for parameter in squeezenet.parameters())


@pytest.mark.parametrize("name", _BACKBONES)
def test_it_looks_behind_the_layers_of_the_papers(name: str) -> None:
    with torch.device("meta"):
        layers = getattr(models, name)(weights=None).features
    kinds = [type(layers[index]).__name__ for index in _BACKBONES[name].layers]
    assert kinds == (["ReLU"] * 5 if name == "vgg19" else ["ReLU"] + ["Fire"] * 8)
    if name == "vgg19":
        # The first ReLU after each pooling.
        pooled = [index for index, layer in enumerate(layers) if isinstance(layer, torch.nn.MaxPool2d)]
        assert list(_BACKBONES[name].layers) == [1, *(index + 2 for index in pooled[:-1])]


def test_layers_are_weighted_and_summed_as_the_formula_says(squeezenet: Perceptual) -> None:
    x, other = torch.rand(2, 2, 3, 32, 32)
    layers, total, count = squeezenet.features, 0.0, 0.0
    seen = [(image - squeezenet.mean) / squeezenet.std for image in (x, other)]
    for index, layer in enumerate(layers):
        seen = [layer(image) for image in seen]
        if index in _BACKBONES["squeezenet1_1"].layers:
            total += float((seen[0] - seen[1]).abs().mean())
            count += float((seen[0] - seen[1]).abs().sum()) / 2
    assert float(squeezenet(other, x)) == pytest.approx(total, rel=1e-5)
    summed = Perceptual("squeezenet1_1", reduction="sum", pretrained=False)
    assert float(summed(other, x)) == pytest.approx(count, rel=1e-5)


def test_the_random_backbone_is_always_the_same_and_no_randomness_moves(squeezenet: Perceptual) -> None:
    before = torch.random.get_rng_state()
    again = Perceptual("squeezenet1_1", pretrained=False)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(squeezenet.parameters(), again.parameters(), strict=True))


def test_without_a_network_it_says_what_to_fetch_and_where_to_put_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*, weights: object) -> None:
        reason = "no route"
        raise URLError(reason)

    monkeypatch.setattr(models, "vgg19", offline)
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    with pytest.raises(InversoError, match=r"fetch https://.*/vgg19-dcbb9e9d\.pth and put the file into") as caught:
        Perceptual("vgg19")
    assert str(folder) in str(caught.value)


def test_an_unknown_backbone_is_refused() -> None:
    with pytest.raises(ValueError, match="backbone must be one of 'vgg19', 'squeezenet1_1', got 'alexnet'"):
        Perceptual("alexnet")
