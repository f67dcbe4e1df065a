"""One message for packages that are missing."""

from __future__ import annotations

import sys

import pytest

from inverso._extras import EXTRAS, MissingPackageError, need, needing
from inverso.errors import InversoError


@pytest.mark.parametrize("package", EXTRAS)
def test_a_missing_package_names_its_extra(package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPackageError, match=rf"the test needs the package {package}: .*\[{EXTRAS[package]}\]"):
        need(package, what="the test")


def test_a_package_of_no_extra_is_named_itself():
    with pytest.raises(InversoError, match=r"this needs the package no_such_package: pip install no_such_package"):
        need("no_such_package.inside")


def test_other_errors_pass():
    with pytest.raises(ZeroDivisionError), needing("the test"):
        1 / 0  # noqa: B018
