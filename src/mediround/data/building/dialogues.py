"""Second pass of a build: the dialogues of a shard, from the facts of its images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from mediround.data.building.settings import BuildSettings, generator
from mediround.data.dialogues.builder import axes_of, draw_dialogues, measure
from mediround.data.shards import Record, StoredImage, record_line
from mediround.dialogue import Dialogue
from mediround.imaging import Edges

COUNTED = (
    "dialogues",
    "twins",
    "rounds",
    "later_rounds",
    "masks",
    "given_masks",
    "rounds_with_references",
    "rounds_needing_references",
    "later_rounds_needing_references",
)
"""What is counted while dialogues are written; all else is for ``data stats``."""


@dataclass(frozen=True)
class SourceFacts:
    """What dialogues need to know of a data set.

    ``complete``: a structure that the data set labels and that an image has no mask of is truly
    not in that image.
    """

    entities: tuple[str, ...]
    complete: bool


@dataclass(frozen=True)
class ShardTask:
    """A shard to be written.

    Attributes:
        path: names the result.
        split: of all its images.
        images: facts as JSON, and how many dialogues.
        sources: data set -> what is known of it.
        settings: of the build.
    """

    path: str
    split: str
    images: tuple[tuple[bytes, int], ...]
    sources: Mapping[str, SourceFacts]
    settings: BuildSettings


@dataclass(frozen=True)
class WrittenShard:
    """The JSON lines of each image, in the order of the task, and counts of what they hold."""

    path: str
    lines: tuple[bytes, ...]
    tally: Counter[str]


def write_shard(task: ShardTask) -> WrittenShard:
    """Draw the dialogues of a shard; every image has random numbers of its own."""
    lines: list[bytes] = []
    tally: Counter[str] = Counter()
    for facts, count in task.images:
        image = StoredImage.model_validate_json(facts)
        records = list(_records(image, count, task))
        tally.update(_counted(records))
        lines.append(b"".join(map(record_line, records)))
    return WrittenShard(task.path, tuple(lines), tally)


def _records(image: StoredImage, count: int, task: ShardTask) -> Iterator[Record]:
    masks = image.masks()
    source = task.sources[image.dataset]
    axes = None if image.directions is None else axes_of(Edges(*image.directions))
    scene = measure(masks, oriented=image.oriented, axes=axes, spacing=image.spacing)
    mixture = task.settings.mixture_of(task.split)
    alone = replace(mixture, twin_share=0.0)
    rng = generator(task.settings.seed, image.sha256)
    number = 0
    while number < count:
        drawn = draw_dialogues(
            masks,
            rng,
            settings=mixture if number + 1 < count else alone,
            modality=image.modality.value,
            oriented=image.oriented,
            region_names=source.entities,
            scene=scene,
            axes=axes,
            spacing=image.spacing,
            complete=source.complete,
        )
        ids = [f"{image.key}-{number + place:04d}" for place in range(len(drawn))]
        for place, dialogue in enumerate(drawn):
            twin = ids[1 - place] if len(drawn) == 2 else None
            yield _record(image, task.split, mixture.wording_split, ids[place], twin, dialogue)
        number += len(drawn)


def _record(
    image: StoredImage, split: str, wording: str, name: str, twin: str | None, dialogue: Dialogue
) -> Record:
    return Record.model_validate(
        {
            "id": name,
            "image": image.key,
            "dataset": image.dataset,
            "patient": image.patient,
            "slice": image.slice,
            "split": split,
            "wording": wording,
            "twin": twin,
            "dialogue": dialogue,
        }
    )


def _counted(records: Sequence[Record]) -> Counter[str]:
    """Sums of ``COUNTED``."""
    tally: Counter[str] = Counter()
    for record in records:
        rounds = record.dialogue.rounds
        tally["dialogues"] += 1
        tally["twins"] += record.twin is not None
        tally["rounds"] += len(rounds)
        tally["later_rounds"] += len(rounds) - 1
        tally["masks"] += sum(len(each.entities) for each in rounds)
        tally["given_masks"] += len(record.dialogue.given)
        tally["rounds_with_references"] += sum(bool(each.references) for each in rounds)
        for number, each in enumerate(rounds):
            marked = each.relation is not None and each.relation.evidence.get("needs_reference")
            tally["rounds_needing_references"] += bool(marked)
            tally["later_rounds_needing_references"] += bool(marked) and number > 0
    return tally
