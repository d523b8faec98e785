from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import nn

from mediround.errors import WeightsError
from mediround.training.progress import Ledger, cosine, restore, trained


class Toy:
    """Two modules and an optimiser, seeded by (seed, step) like a part of a run."""

    def __init__(self, folder: Path) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.modules: dict[str, nn.Module] = {"a": nn.Linear(3, 4), "b": nn.Linear(4, 2)}
        for parameter in self.modules["b"].parameters():
            parameter.requires_grad_(parameter.ndim == 2)  # the bias is frozen
        learned = [p for m in self.modules.values() for p in m.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(
            [{"params": learned[:1], "lr": 0.1}, {"params": learned[1:], "lr": 0.01}]
        )
        self.ledger = Ledger(folder, seconds=3600)

    def step(self, number: int) -> None:
        x = torch.randn(5, 3, generator=torch.Generator().manual_seed(number))
        self.modules["b"](self.modules["a"](x).tanh()).pow(2).sum().backward()
        self.optimiser.step()
        self.optimiser.zero_grad()

    def train(self, until: int) -> int:
        first = self.ledger.load(self.modules, self.optimiser)
        for number in range(first, until):
            self.step(number)
        self.ledger.save(until, self.modules, self.optimiser)
        return first

    def state(self) -> dict[str, torch.Tensor]:
        named = [(f"{n}.{k}", p) for n, m in self.modules.items() for k, p in m.named_parameters()]
        moments = self.optimiser.state_dict()["state"]
        return dict(named) | {f"{i}.{k}": v for i, s in moments.items() for k, v in s.items()}


def test_a_resumed_run_ends_bit_by_bit_where_an_unbroken_one_does(tmp_path: Path) -> None:
    unbroken = Toy(tmp_path / "one")
    assert unbroken.train(4) == 0
    assert Toy(tmp_path / "two").train(2) == 0
    resumed = Toy(tmp_path / "two")
    assert resumed.train(4) == 2
    expected, found = unbroken.state(), resumed.state()
    assert found.keys() == expected.keys()
    assert any(key.endswith("exp_avg_sq") for key in found)
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    assert not torch.equal(found["a.weight"], Toy(tmp_path / "three").state()["a.weight"])


def test_rates_are_those_of_the_run_that_resumes(tmp_path: Path) -> None:
    Toy(tmp_path).train(1)
    resumed = Toy(tmp_path)
    resumed.optimiser.param_groups[0]["lr"] = 0.5
    resumed.ledger.load(resumed.modules, resumed.optimiser)
    assert [group["lr"] for group in resumed.optimiser.param_groups] == [0.5, 0.01]


def test_without_a_checkpoint_a_run_begins_at_the_beginning(tmp_path: Path) -> None:
    toy = Toy(tmp_path / "new")
    assert toy.ledger.load(toy.modules, toy.optimiser) == 0
    assert (tmp_path / "new").is_dir()


def test_a_damaged_checkpoint_is_an_error_and_no_new_beginning(tmp_path: Path) -> None:
    Toy(tmp_path).train(1)
    toy = Toy(tmp_path)
    toy.ledger.path.write_bytes(toy.ledger.path.read_bytes()[:-9])
    with pytest.raises(WeightsError, match="cannot be read"):
        toy.train(2)


def test_a_checkpoint_is_due_after_its_time(tmp_path: Path) -> None:
    assert not Ledger(tmp_path, seconds=3600).due()
    assert Ledger(tmp_path, seconds=-1).due()


def test_the_log_has_one_line_an_event(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, seconds=1)
    ledger.log(step=0, loss=1.5)
    Ledger(tmp_path, seconds=1).log(step=20, validation={"CT": 0.7})
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 20]
    assert lines[1]["validation"] == {"CT": 0.7}
    assert all(line["time"] > 1e9 for line in lines)


def test_trained_and_restore_are_inverse() -> None:
    one, other = (nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)) for _ in range(2))
    for module in (one, other):
        module.get_submodule("0").requires_grad_(False)
    tensors = trained(one)
    assert set(tensors) == {"1.weight", "1.bias"}
    frozen = other.get_parameter("0.weight").clone()
    restore(other, {f"x.{name}": tensor for name, tensor in tensors.items()}, "x.")
    assert torch.equal(other.get_parameter("1.weight"), one.get_parameter("1.weight"))
    assert torch.equal(other.get_parameter("0.weight"), frozen)
    with pytest.raises(KeyError):
        restore(other, {})


def test_the_rate_warms_up_and_falls_to_a_fiftieth() -> None:
    factors = [cosine(step, 100, 10) for step in range(101)]
    assert factors[:10] == pytest.approx([n / 10 for n in range(1, 11)])
    assert factors[10] == pytest.approx(1)
    assert factors[55] == pytest.approx(0.51)
    assert factors[100] == pytest.approx(0.02)
    assert all(a >= b for a, b in pairwise(factors[10:]))
