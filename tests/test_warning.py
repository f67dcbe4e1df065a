"""Warnings point at the user's line, once or each time."""

import warnings

import pytest

from inverso._warning import warn_caller
from inverso.errors import ConvergenceWarning


@pytest.mark.parametrize(("each_time", "shown"), [(False, 1), (True, 3)])
def test_a_text_is_shown_once_per_line_or_in_every_call(each_time, shown):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            warn_caller(f"the same, {each_time}", each_time=each_time)
    assert [warning.filename for warning in caught] == [__file__] * shown
    assert {warning.category for warning in caught} == {UserWarning}


def test_a_warning_keeps_what_it_carries():
    with pytest.warns(ConvergenceWarning) as caught:
        warn_caller(ConvergenceWarning("stopped", 0.1))
    assert caught[0].message.residual == 0.1


def test_filters_of_the_user_count():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="in earnest"):
            warn_caller("in earnest", each_time=True)
