from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediround.data.words.grammar import expand, expand_all

PLAIN = st.text(alphabet="ab {x}.", max_size=6)


def test_alternatives_are_multiplied_in_order() -> None:
    assert expand("(a|b) (c|)d") == ("a cd", "a d", "b cd", "b d")


def test_groups_nest() -> None:
    assert expand("a (b|c (d|e))") == ("a b", "a c d", "a c e")


def test_a_pattern_without_groups_stands_for_itself() -> None:
    assert expand("Segment {x}.") == ("Segment {x}.",)


def test_a_sentence_of_two_patterns_is_listed_once() -> None:
    assert expand_all(["(a|b)", "(b|c)"]) == ("a", "b", "c")


@pytest.mark.parametrize("pattern", ["(a", "a)", "a)(b", "(a|(b)"])
def test_a_parenthesis_without_partner_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="group"):
        expand(pattern)


@settings(deadline=None)
@given(st.lists(PLAIN, min_size=1, max_size=4), st.lists(PLAIN, min_size=1, max_size=4), PLAIN)
def test_expansion_is_the_product_of_its_groups(
    first: list[str], second: list[str], between: str
) -> None:
    pattern = f"({'|'.join(first)}){between}({'|'.join(second)})"
    assert expand(pattern) == tuple(f"{a}{between}{b}" for a in first for b in second)
