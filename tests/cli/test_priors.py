"""`inverso priors`: every card, for people and for machines."""

import json

from inverso.priors import available


def test_list_names_every_prior(inverso):
    result = inverso("priors")
    assert result.exit_code == 0
    assert all(card.name in result.stdout for card in available())


def test_card_shows_what_is_known(inverso):
    result = inverso("priors", "pggan-celebahq-1024")
    assert result.exit_code == 0
    shown = "".join(result.stdout.split())
    card = next(card for card in available() if card.name == "pggan-celebahq-1024")
    for text in (card.license, card.bias, card.recipe, card.url, "3 × 1024 × 1024"):
        assert "".join(text.split()) in shown


def test_json_holds_the_cards(inverso):
    everything = json.loads(inverso("priors", "--json").stdout)
    assert [card["name"] for card in everything["priors"]] == [card.name for card in available()]
    one = json.loads(inverso("priors", "faces-64", "--json").stdout)
    assert one == everything["priors"][0]
    assert one["image_shape"] == [3, 64, 64]
