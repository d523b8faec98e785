"""What is in a data set of dialogues, counted in one pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mediround.data.dialogues.difficulty import level
from mediround.data.shards import DialogueFolder, Record
from mediround.dialogue import Dialogue, Round

Progress = Callable[[int, int], None]
"""Called with images done and all images."""

_CHINESE = range(0x4E00, 0xA000)


@dataclass
class Statistics:
    """Counts over all dialogues that were looked at.

    Attributes:
        dialogues: split -> dialogues.
        images: split -> images.
        rounds: rounds of a dialogue -> dialogues.
        kinds: kind of relation -> rounds.
        needing: kind -> rounds that are marked as needing their reference.
        difficulty: "easy", "medium", "hard" -> rounds.
        entities: name -> masks that answers bring.
        modalities, datasets: -> dialogues.
        languages: "English", "Chinese" -> rounds.
        query_words, answer_words: length -> rounds; a Chinese character counts as a word.
        masks: masks in an answer -> rounds.
        given: masks given before the first round -> dialogues.
        references: references in a question -> rounds.
        back: how many rounds ago a reference was introduced -> references; given masks count
            as round 0.
        edges: (referenced entity, target entity) -> rounds.
        twins: dialogues that have a twin.
        questions: different questions, with numbers left out.
    """

    dialogues: Counter[str] = field(default_factory=Counter)
    images: Counter[str] = field(default_factory=Counter)
    rounds: Counter[int] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    needing: Counter[str] = field(default_factory=Counter)
    difficulty: Counter[str] = field(default_factory=Counter)
    entities: Counter[str] = field(default_factory=Counter)
    modalities: Counter[str] = field(default_factory=Counter)
    datasets: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    query_words: Counter[int] = field(default_factory=Counter)
    answer_words: Counter[int] = field(default_factory=Counter)
    masks: Counter[int] = field(default_factory=Counter)
    given: Counter[int] = field(default_factory=Counter)
    references: Counter[int] = field(default_factory=Counter)
    back: Counter[int] = field(default_factory=Counter)
    edges: Counter[tuple[str, str]] = field(default_factory=Counter)
    twins: int = 0
    questions: int = 0

    def as_json(self) -> dict[str, Any]:
        """As JSON values, the most frequent first where keys are names."""
        told: dict[str, Any] = {}
        for name, value in vars(self).items():
            if name == "edges":
                told[name] = [[*pair, count] for pair, count in value.most_common()]
            elif isinstance(value, Counter):
                told[name] = _ordered(value)
            else:
                told[name] = value
        return told


def statistics(folder: Path, *, progress: Progress | None = None) -> Statistics:
    """Count everything in a data set.

    Raises:
        DatasetError: it cannot be read.
    """
    dataset = DialogueFolder(folder)
    found = Statistics()
    questions: set[int] = set()
    total = sum(shard.images for shard in dataset.manifest.shards)
    for number, sample in enumerate(dataset.samples(), 1):
        found.images[sample.split] += 1
        for record in sample.records:
            _count(record, found)
            questions.update(hash(_plain(each.query)) for each in record.dialogue.rounds)
        if progress is not None:
            progress(number, total)
    found.questions = len(questions)
    return found


def _ordered(counts: Counter[Any]) -> dict[str, int]:
    by_number = all(isinstance(key, int) for key in counts)
    pairs = sorted(counts.items()) if by_number else counts.most_common()
    return {str(key): count for key, count in pairs}


def _plain(query: str) -> str:
    return "".join("#" if mark.isdigit() else mark for mark in query)


def _count(record: Record, found: Statistics) -> None:
    dialogue = record.dialogue
    found.dialogues[record.split] += 1
    found.datasets[record.dataset] += 1
    found.modalities[dialogue.modality or "UNKNOWN"] += 1
    found.twins += record.twin is not None
    found.rounds[len(dialogue.rounds)] += 1
    found.given[len(dialogue.given)] += 1
    born = _born(dialogue)
    names = {entity.id: entity.name for entity in dialogue.entities()}
    for number, each in enumerate(dialogue.rounds, 1):
        _count_round(each, number, born, names, found)


def _born(dialogue: Dialogue) -> dict[int, int]:
    """Entity number -> the round that brought it, 0 for given masks."""
    born = {entity.id: 0 for entity in dialogue.given}
    for number, each in enumerate(dialogue.rounds, 1):
        born |= {entity.id: number for entity in each.entities}
    return born


def _count_round(
    each: Round,
    number: int,
    born: Mapping[int, int],
    names: Mapping[int, str | None],
    found: Statistics,
) -> None:
    if each.relation is not None:
        found.kinds[each.relation.kind] += 1
        found.needing[each.relation.kind] += bool(each.relation.evidence.get("needs_reference"))
        if each.relation.difficulty is not None:
            found.difficulty[level(each.relation.difficulty)] += 1
    chinese = any(ord(mark) in _CHINESE for mark in each.query)
    found.languages["Chinese" if chinese else "English"] += 1
    found.query_words[_length(each.query)] += 1
    found.answer_words[_length(each.text)] += 1
    found.masks[sum(entity.mask is not None for entity in each.entities)] += 1
    referred = dict.fromkeys(each.references)
    found.references[len(referred)] += 1
    found.back.update(number - born[reference] for reference in referred)
    for entity in each.entities:
        if entity.mask is None:
            continue
        target = entity.name or "unnamed"
        found.entities[target] += 1
        found.edges.update((names[n] or "unnamed", target) for n in entity.refers_to)


def _length(text: str) -> int:
    """Words; Chinese has no spaces between them, so its characters count."""
    characters = sum(ord(mark) in _CHINESE for mark in text)
    spaced = "".join(" " if ord(mark) in _CHINESE else mark for mark in text)
    return characters + len(spaced.split())
