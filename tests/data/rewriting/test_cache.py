from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediround.data.rewriting.cache import RewriteCache, cache_key
from mediround.errors import OutputError


@settings(deadline=None)
@given(st.dictionaries(st.text(min_size=1), st.text(), max_size=8))
def test_what_was_put_is_got(texts: dict[str, str]) -> None:
    with RewriteCache(None) as cache:
        cache.put(texts)
        assert cache.get(texts) == texts
        assert cache.get(["\0unknown"]) == {}


def test_a_file_is_kept_and_shared(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "cache.sqlite"
    with RewriteCache(path) as one, RewriteCache(path) as other:
        one.put({"a": "first"})
        other.put({"a": "second", "b": "third"})
        assert one.get(["a", "b"]) == {"a": "first", "b": "third"}
    with RewriteCache(path) as again:
        assert again.get(["a"]) == {"a": "first"}


def test_many_keys_at_once() -> None:
    texts = {str(number): f"text {number}" for number in range(2000)}
    with RewriteCache(None) as cache:
        cache.put(texts)
        assert cache.get(texts) == texts


def test_a_file_that_is_no_cache_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database " * 100)
    with pytest.raises(OutputError, match="cache of rewritten questions"):
        RewriteCache(path)


def test_keys_tell_everything_apart() -> None:
    parts = ("model", "prompt", "question", "manner")
    keys = {cache_key(*parts)}
    for place in range(4):
        changed = list(parts)
        changed[place] += "2"
        keys.add(cache_key(*changed))
    assert len(keys) == 5
