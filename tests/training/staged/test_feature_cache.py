from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mediround.errors import OutputError, WeightsError
from mediround.training.staged.feature_cache import FeatureCache


def features() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    grid = torch.randn(3, 5, 5, generator=generator)
    return {"grid": grid.permute(2, 0, 1), "box": torch.rand(4, generator=generator)}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_kept_and_computed_are_the_same(tmp_path: Path, dtype: torch.dtype) -> None:
    first = FeatureCache(tmp_path, "weights", dtype)
    computed = first.get("ab12", features)
    kept = FeatureCache(tmp_path, "weights", dtype)
    again = kept.get("ab12", lambda: pytest.fail("it is there"))
    assert (first.misses, kept.hits, kept.misses) == (1, 1, 0)
    for name, tensor in features().items():
        assert torch.equal(computed[name], again[name])
        assert torch.equal(again[name], tensor.to(dtype))
        assert again[name].stride() == computed[name].stride()
        assert again[name].data_ptr() % 64 == 0  # where a tensor begins decides how sums round


def test_other_weights_never_read_it(tmp_path: Path) -> None:
    FeatureCache(tmp_path, "these", torch.float32).get("ab12", features)
    other = FeatureCache(tmp_path, "those", torch.float32)
    other.get("ab12", features)
    assert other.misses == 1


def test_without_a_folder_nothing_is_kept() -> None:
    cache = FeatureCache(None, "weights", torch.float32)
    for _ in range(2):
        cache.get("ab12", features)
    assert cache.misses == 2


def test_damaged_and_unwritable(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, "weights", torch.float32)
    cache.get("ab12", features)
    (file,) = tmp_path.rglob("*.safetensors")
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(WeightsError, match="cannot be read"):
        cache.get("ab12", features)
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(OutputError):
        FeatureCache(tmp_path / "taken", "weights", torch.float32).get("ab12", features)
