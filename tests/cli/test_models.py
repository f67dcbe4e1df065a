"""`inverso models`: every card, for people and for machines."""

import json

import pytest

from inverso import priors, restorers
from inverso.priors import encoder
from inverso.restorers._detectors import DETECTORS

CARDS = (*priors.available(), *encoder.available(), *restorers.available(), *DETECTORS.available())


def test_list_names_every_network(inverso):
    result = inverso("models")
    assert result.exit_code == 0
    lines = [tuple(line.split()[:2]) for line in result.stdout.splitlines()]
    assert {(card.kind, card.name) for card in CARDS} <= set(lines)


@pytest.mark.parametrize(("kind", "known"), [("restorer", restorers.available()), ("encoder", encoder.available())])
def test_a_kind_alone_is_listed(inverso, kind, known):
    found = json.loads(inverso("models", kind, "--json").stdout)["models"]
    assert [card["name"] for card in found] == [card.name for card in known]


def test_card_shows_what_is_known(inverso):
    result = inverso("models", "pggan-celebahq-1024")
    assert result.exit_code == 0
    shown = "".join(result.stdout.split())
    card = next(card for card in CARDS if card.name == "pggan-celebahq-1024")
    for text in (card.license, card.bias, card.recipe, card.url, "3 × 1024 × 1024"):
        assert "".join(text.split()) in shown


def test_json_holds_the_cards(inverso):
    everything = json.loads(inverso("models", "--json").stdout)["models"]
    assert [(card["kind"], card["name"]) for card in everything] == [(card.kind, card.name) for card in CARDS]
    one = json.loads(inverso("models", "prior", "faces-64", "--json").stdout)["models"]
    assert one == [everything[0]]
    assert one[0]["image_shape"] == [3, 64, 64]


def test_a_name_of_several_kinds_shows_them_all(inverso):
    found = json.loads(inverso("models", "faces-64", "--json").stdout)["models"]
    assert [card["kind"] for card in found] == ["prior", "encoder", "restorer"]


def test_an_unknown_kind_lists_the_kinds(inverso):
    result = inverso("models", "camera", "faces-64")
    assert result.exit_code == 2
    assert "'camera'" in result.stderr
    assert "'prior', 'denoiser', 'encoder', 'restorer', 'detector'" in result.stderr
