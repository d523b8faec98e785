from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediround.config import (
    LanguageConfig,
    ModelConfig,
    NormalisationConfig,
    TinyVitConfig,
)
from mediround.errors import ConfigError
from mediround.mapping import from_mapping
from mediround.presets import PRESETS

configs = st.builds(
    ModelConfig,
    name=st.text(),
    vision_source=st.none() | st.text(),
    vision=st.builds(
        TinyVitConfig, widths=st.tuples(*[st.integers(1, 999)] * 4), expand=st.integers(1, 9)
    ),
    language=st.builds(LanguageConfig, source=st.none() | st.text(), layers=st.integers(1, 99)),
    normalisation=st.builds(
        NormalisationConfig, ct_window=st.tuples(st.floats(-1e3, 1e3), st.floats(1, 1e4))
    ),
    dtype=st.sampled_from(["float32", "bfloat16"]),
    unsure_below=st.floats(0, 1),
)


@given(configs)
def test_a_configuration_survives_json(config: ModelConfig) -> None:
    assert ModelConfig.from_json(config.to_json()) == config


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_are_named_as_they_are_called_and_survive_json(name: str) -> None:
    config = PRESETS[name]()
    assert config.name == name
    assert ModelConfig.from_json(config.to_json()) == config


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"colour": 1}, r"unknown keys \['colour'\]"),
        ({"vision": {"wide": 3}}, r"config.vision has the unknown keys"),
        ({"vision": 3}, "table of settings"),
        ({"vision": {"widths": 5}}, "config.vision.widths is 5"),
        ({"vision": {"widths": [1, 2, "3", 4]}}, r"widths\[2\] is '3'"),
        ({"vision": {"widths": [1, 2, 3]}}, "differ in length"),
        ({"normalisation": {"ct_window": [1.0, 2.0, 3.0]}}, "has 3 values; expected 2"),
        ({"seed": "7"}, "seed is '7'"),
        ({"seed": True}, "seed is True"),
        ({"seed": 1.5}, "seed is 1.5"),
        ({"unsure_below": "high"}, "expected float"),
        ({"vision_source": 4}, "expected str or nothing"),
        ({"dtype": "complex"}, "dtype is 'complex'"),
        ({"decoder": {"width": 12}}, "decoder.width is 12 and vision.out is 256"),
        ({"vision": {"kind": "eye"}}, r"config.vision.kind is 'eye'; expected one of \['sam-vit'"),
        ({"vision": {"kind": "sam-vit", "widths": []}}, r"unknown keys \['widths'\]"),
        (
            {"vision": {"kind": "sam-vit"}},
            "perception of kind 'grid' with vision of kind 'sam-vit'",
        ),
        ({"perception": {"kind": "clip", "reference_tokens": 4}}, "reference_tokens is 4"),
        (
            {"perception": {"neighbours": ["under"]}},
            r"neighbours names \['under'\]; expected some of",
        ),
        ({"perception": {"kind": "clip", "layer": 0}}, "layer is 0 of 24; expected -1"),
        ({"correction": {"judge": "me"}}, r"judge is 'me'; expected one of \[None, 'evidence'"),
        ({"correction": {"judge": None, "corrector": True}}, "correction.judge is off"),
        ({"seg_state": "near"}, "seg_state is 'near'; expected one of"),
        ({"quirks": {"odd": True}}, "config.quirks has the unknown keys"),
    ],
)
def test_what_does_not_fit_is_an_error_that_says_where(
    changes: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        from_mapping(ModelConfig, {"name": "x", **changes})


def test_missing_keys_are_errors() -> None:
    with pytest.raises(ConfigError, match="incomplete: .*name"):
        from_mapping(ModelConfig, {})


@pytest.mark.parametrize("text", ["", "{", "[1]", "3", "[" * 100_000])
def test_what_is_no_json_object_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError):
        ModelConfig.from_json(text)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=4))
def test_no_value_of_a_wrong_type_gets_in(value: object) -> None:
    for field in dataclasses.fields(ModelConfig):
        stored = json.loads(ModelConfig(name="x").to_json()) | {field.name: value}
        try:
            made = getattr(from_mapping(ModelConfig, stored), field.name)
        except ConfigError:
            continue
        allowed = {"name": str, "dtype": str, "unsure_below": float, "seed": int, "entities": tuple}
        allowed |= {"whole": bool, "denial_penalty": float}
        assert isinstance(made, allowed.get(field.name, str | None))


def test_whole_numbers_serve_as_fractions() -> None:
    made = from_mapping(ModelConfig, {"name": "x", "unsure_below": 1})
    assert isinstance(made.unsure_below, float)
