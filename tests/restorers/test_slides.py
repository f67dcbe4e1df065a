"""The networks of the slides, layer for layer as printed, and what they can see."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from inverso.images._gray import to_gray
from inverso.restorers import SlidesRestorer
from inverso.restorers.base import parameter_count
from inverso.training._discriminators import SlidesDiscriminator

# Layer, channels and side of its output, parameters; from the tables of the slides.
GENERATOR = [
    ("ConvTranspose2d", 256, 259, 4_096),
    ("BatchNorm2d", 256, 259, 512),
    ("ReLU", 256, 259, 0),
    ("ConvTranspose2d", 128, 518, 524_288),
    ("BatchNorm2d", 128, 518, 256),
    ("ReLU", 128, 518, 0),
    ("ConvTranspose2d", 64, 1036, 131_072),
    ("BatchNorm2d", 64, 1036, 128),
    ("ReLU", 64, 1036, 0),
    ("MaxPool2d", 64, 259, 0),
    ("ConvTranspose2d", 32, 260, 32_768),
    ("BatchNorm2d", 32, 260, 64),
    ("ReLU", 32, 260, 0),
    ("MaxPool2d", 32, 257, 0),
    ("ConvTranspose2d", 1, 256, 512),
    ("Tanh", 1, 256, 0),
]
DISCRIMINATOR = [
    ("Conv2d", (32, 128, 128), 512),
    ("LeakyReLU", (32, 128, 128), 0),
    ("Conv2d", (64, 64, 64), 32_768),
    ("BatchNorm2d", (64, 64, 64), 128),
    ("LeakyReLU", (64, 64, 64), 0),
    ("Conv2d", (128, 32, 32), 131_072),
    ("BatchNorm2d", (128, 32, 32), 256),
    ("LeakyReLU", (128, 32, 32), 0),
    ("Conv2d", (256, 16, 16), 524_288),
    ("BatchNorm2d", (256, 16, 16), 512),
    ("LeakyReLU", (256, 16, 16), 0),
    ("MaxPool2d", (256, 4, 4), 0),
    ("Conv2d", (256, 2, 2), 1_048_576),
    ("BatchNorm2d", (256, 2, 2), 512),
    ("LeakyReLU", (256, 2, 2), 0),
    ("Flatten", (1024,), 0),
    ("Linear", (100,), 102_500),
    ("ReLU", (100,), 0),
    ("Linear", (100,), 10_100),
    ("ReLU", (100,), 0),
    ("Linear", (2,), 202),
]


def layers_of(network: nn.Sequential, x: torch.Tensor) -> list[tuple[str, tuple[int, ...], int]]:
    """List what every layer is, gives and has learned, as torchsummary prints it."""
    found = []
    for layer in network:
        x = layer(x)
        found.append((type(layer).__name__, tuple(x.shape[1:]), parameter_count(layer)))
    return found


def test_the_generator_is_the_printed_one():
    # Without memory: the printed activations would take half a gigabyte.
    with torch.device("meta"):
        network = SlidesRestorer()
        layers = layers_of(network.main, torch.empty(1, 1, 256, 256))
        assert network(torch.empty(1, 3, 256, 256)).shape == (1, 3, 256, 256)
    assert layers == [(name, (channels, side, side), count) for name, channels, side, count in GENERATOR]
    assert parameter_count(network) == 693_696


def test_the_discriminator_is_the_printed_one():
    with torch.device("meta"):
        network = SlidesDiscriminator()
        layers = layers_of(network.main, torch.empty(1, 1, 256, 256))
    assert layers == DISCRIMINATOR
    assert parameter_count(network) == 1_851_426


def test_at_other_sizes_it_has_as_many_parameters():
    with torch.device("meta"):
        counts = {size: parameter_count(SlidesDiscriminator(size=size)) for size in (64, 128, 256)}
    assert set(counts.values()) == {1_851_426}


def test_answers_are_the_log_odds_of_the_printed_softmax():
    judge = SlidesDiscriminator(size=64, channels=3).eval()
    x = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    [(seen, answers)] = judge(x, x)
    assert seen.shape == (3, 100)
    probabilities = judge.classify(x)
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(3))
    torch.testing.assert_close(answers.sigmoid()[:, 0], probabilities[:, 1])


def test_gray_networks_turn_colors_to_gray():
    red = torch.zeros(1, 3, 8, 8)
    red[:, 0] = 1
    torch.testing.assert_close(to_gray(red), torch.full((1, 1, 8, 8), 0.299))
    restorer = SlidesRestorer(width=8).eval()
    image = restorer(red)
    assert torch.equal(image[:, 0], image[:, 2])
    torch.testing.assert_close(restorer(to_gray(red).expand(-1, 3, -1, -1)), image)


@pytest.mark.parametrize("place", [(0, 0), (1, 1), (0, 1)])
def test_an_output_pixel_sees_fifteen_pixels_a_side_and_no_more(place):
    network = SlidesRestorer(width=8, pool="average", channels=3).double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(0.01)
    x = torch.full((1, 3, 48, 48), 0.7, dtype=torch.float64, requires_grad=True)
    network(x)[0, 0, 24 + place[0], 24 + place[1]].backward()
    seen = x.grad[0].abs().sum(dim=0) > 0
    assert (int(seen.any(dim=1).sum()), int(seen.any(dim=0).sum())) == (15, 15)


def test_a_shortcut_adds_the_input():
    network = SlidesRestorer(width=8, shortcut=True, channels=3).eval()
    with torch.no_grad():
        network.main[-2].weight.zero_()
    y = torch.rand(1, 3, 16, 16)
    torch.testing.assert_close(network(y), y)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"width": 12}, ValueError, "width must be divisible by 8, since three layers halve it, got 12"),
        ({"width": 0}, ValueError, "width must be an integer of at least 1, got 0"),
        ({"channels": 2}, ValueError, r"channels must be 1 for gray or 3 for color, got 2"),
        ({"pool": "min"}, ValueError, "pool must be 'max' or 'average', got 'min'"),
    ],
)
def test_bad_settings_are_refused(given, error, message):
    with pytest.raises(error, match=message):
        SlidesRestorer(**given)


def test_the_discriminator_refuses_other_sizes():
    with pytest.raises(ValueError, match="takes images whose side is a multiple of 64, got 96"):
        SlidesDiscriminator(size=96)
    with pytest.raises(ValueError, match="channels must be 1 for gray or 3 for color, got 4"):
        SlidesDiscriminator(size=64, channels=4)
