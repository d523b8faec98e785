"""Does the language model understand what is asked? In words of training, held out, and fresh.

    python benchmarks/reading.py --model nano --questions 400

References are made up (``training/parts/lookups.py``): written as perception would write them if
it made no mistake, of structures that never meet in a body, so that neither image nor anatomy
answers. No answer names its structure. Prints, for each kind of question, the share whose nearest
code is the right one, and writes a dated JSON.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, get_args

import numpy as np
import torch
from tqdm import tqdm

import mediround
from mediround.data.words import wording
from mediround.dialogue import Round
from mediround.model.mediround import MediRound
from mediround.model.perception import Perception
from mediround.training.parts.alignment import Alignment
from mediround.training.parts.lookups import Lookup, Lookups, written
from record import about, write

HARDEST: Final = "between"
"""Reported apart too: nano up to v1.5 was given its words, and nothing to learn them from."""


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--questions", type=int, default=400, help="in each kind of words")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    model = mediround.load(options.model).network
    splits: tuple[wording.Split, ...] = get_args(wording.Split)
    found = {split: _read(model, split, options.questions, options.seed) for split in splits}
    _report(found)
    record = about("reading") | {"model": options.model, "seed": options.seed, "right": found}
    print(write(options.out, f"reading-{Path(options.model).name}", record))


@torch.inference_mode()
def _read(model: MediRound, split: wording.Split, count: int, seed: int) -> dict[str, list[bool]]:
    """For each kind of question, which ones were understood; the same masks for equal seeds."""
    perception = model.perception
    assert isinstance(perception, Perception)
    around = perception.surroundings
    if around is None or model.codebook is None or not model.config.entities:
        raise SystemExit("this model has no neighbours' tokens or no codes: take nano")
    rng, words = np.random.default_rng(seed), np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    entities = model.config.entities
    alignment = Alignment(model.language, entities, model.config.perception.reference_tokens)
    prompter = model.language.writer(0, perception.reference_form)
    hits: dict[str, list[bool]] = {}
    for each in tqdm(Lookups(entities, around.kinds).draw(count, rng), desc=split):
        prompt = prompter.write([_asked(each, split, words)])
        tokens = written(each.references, alignment, around, generator, surest=True)
        nothing = tokens.new_zeros((0, tokens.shape[-1]))
        vectors = model.embed(prompt, nothing, dict(enumerate(tokens, start=1)))
        ((place, _),) = prompt.seg
        meant = model.projection(model.language(vectors[None])[:, place].float())
        right = int(model.codebook.distances(meant).argmin()) == each.target
        hits.setdefault(each.kind.value, []).append(right)
    return hits


def _asked(lookup: Lookup, split: wording.Split, rng: np.random.Generator) -> Round:
    """``lookup``'s round in words of ``split``, all phrases alike."""
    phrases = wording.phrases(lookup.kind, split)
    parts = (wording.frames(split), phrases, wording.requests_without_name(split))
    frame, phrase, request = (each[int(rng.integers(len(each)))] for each in parts)
    numbers = range(1, len(lookup.references) + 1)
    query = wording.fill(
        f"{frame.replace('{x}', phrase)} {request}", [f"[{number}]" for number in numbers]
    )
    text = wording.answer_unnamed(len(lookup.references) + 1)
    return Round(query=query, text=text, entities=lookup.round.entities)


def _report(found: Mapping[str, Mapping[str, Sequence[bool]]]) -> None:
    kinds = sorted(next(iter(found.values())))
    print(f"{'':20}" + "".join(f"{name:>10}" for name in found))
    for kind in kinds:
        print(f"{kind:20}" + "".join(f"{np.mean(hits[kind]):10.2f}" for hits in found.values()))
    for name, left_out in (("all", ()), (f"all but {HARDEST}", (HARDEST,))):
        shares = [
            np.mean([hit for kind in kinds if kind not in left_out for hit in hits[kind]])
            for hits in found.values()
        ]
        print(f"{name:20}" + "".join(f"{share:10.2f}" for share in shares))


if __name__ == "__main__":
    main()
