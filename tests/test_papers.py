"""From papers to classes: the page, the docstrings and the citation file agree with each other and with the code."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

import inverso

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "papers.md").read_text(encoding="utf-8")
SOURCES = {path: path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py")}
NUMBER = re.compile(r"arXiv:\d{4}\.\d{4,5}|doi:10\.\d+/[^\s,;\]}`]+")
CITED = re.compile(r"[A-ZÀ-ž][\w-]+(?:(?: et al\.| & [A-ZÀ-ž][\w-]+| and [A-ZÀ-ž][\w-]+)) (?:19|20)\d\d")


def numbers(text: str) -> set[str]:
    return {number.rstrip(".)") for number in NUMBER.findall(text)}


def found(name: str) -> bool:
    """Whether a dotted name leads to something."""
    parts = name.split(".")
    for k in range(len(parts), 0, -1):
        try:
            thing = importlib.import_module(".".join(parts[:k]))
        except ModuleNotFoundError:
            continue
        for part in parts[k:]:
            if not hasattr(thing, part):
                return False
            thing = getattr(thing, part)
        return True
    return False


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(inverso(?:\.\w+)+)`", PAGE))))
def test_names_on_the_page_exist(name):
    assert found(name)


def test_numbers_in_docstrings_are_on_the_page():
    known = numbers(PAGE)
    unknown = {number: path.name for path, text in SOURCES.items() for number in numbers(text) if number not in known}
    assert not unknown


def test_links_lead_to_the_number_they_show():
    links = re.findall(r"\[(arXiv|doi):(\S+?)\]\(https://(arxiv\.org/abs|doi\.org)/(\S+?)\)(?=[\s,;.|]|$)", PAGE)
    assert len(links) > 40
    assert all(shown == led for _, shown, _, led in links)


@pytest.mark.parametrize("room", ["losses", "priors", "restorers", "stages"])
def test_papers_that_docstrings_name_have_a_number(room):
    """In the same file; a list of cards names networks, not papers."""
    for path, text in SOURCES.items():
        if f"/inverso/{room}/" not in path.as_posix() or path.name == "_cards.py":
            continue
        cited = set(CITED.findall(re.sub(r"\n\s*", " ", text)))
        # Of these there is no number.
        cited -= {"Trpceski & Gleason 2025", "Tang et al. 2017"}
        assert not cited or numbers(text), (path.name, cited)


def test_the_citation_file_is_of_this_version():
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {inverso.__version__}\n" in text
    assert numbers(text) <= numbers(PAGE)


def test_the_citation_file_has_what_its_schema_asks_for():
    yaml = pytest.importorskip("yaml")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] == "software"
    assert all(citation[key] for key in ("message", "title", "authors", "abstract", "keywords"))
    for reference in citation["references"]:
        assert reference["type"] == "article"
        assert reference["title"]
        assert all({"family-names", "given-names"} == set(author) for author in reference["authors"])
        assert re.fullmatch(NUMBER, reference["identifiers"][0]["value"])
