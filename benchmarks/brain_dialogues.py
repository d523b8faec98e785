"""A real T1 weighted brain as a data set that `mediround evaluate` takes.

    python -m benchmarks.brain_dialogues --out brain
    mediround evaluate --data brain --out report --limit 60 --curves --no-ablations --no-boundary
    mediround evaluate --data brain --out twins --limit 60 --no-dialogues --swapped --pairs 30

The average of MNI152, which nothing was trained on, with FreeSurfer's labels (the sample
``sample-brain``); its structures are those that the parcellation of ``nano`` knows.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import nibabel
import numpy as np
from nibabel.processing import resample_from_to

from mediround import weights

SIDED: Final = {
    "Cerebral-White-Matter": "cerebral white matter",
    "Lateral-Ventricle": "lateral ventricle",
    "Cerebellum-White-Matter": "cerebellar white matter",
    "Cerebellum-Cortex": "cerebellar cortex",
    "Thalamus-Proper": "thalamus",
    "Caudate": "caudate nucleus",
    "Putamen": "putamen",
    "Pallidum": "globus pallidus",
    "Hippocampus": "hippocampus",
    "Amygdala": "amygdala",
}
"""FreeSurfer's names without the side -> canonical ones."""
MIDLINE: Final = {
    "3rd-Ventricle": "third ventricle",
    "4th-Ventricle": "fourth ventricle",
    "Brain-Stem": "brainstem",
}


def structure(label: str) -> str | None:
    """The canonical name of a label of FreeSurfer; None for what the data set leaves out."""
    if label in MIDLINE:
        return MIDLINE[label]
    for side, half in (("left", "lh"), ("right", "rh")):
        if label.startswith(f"ctx-{half}-"):
            return f"{side} cerebral cortex"
        name = SIDED.get(label.removeprefix(f"{side.capitalize()}-"))
        if name is not None and label.startswith(side.capitalize()):
            return f"{side} {name}"
    return None


def write(folder: Path) -> None:
    """An nnU-Net v2 raw data set of one case below ``folder``."""
    source = weights.path("sample-brain")
    image = nibabel.load(source / "MNI152_T1_1mm_brain.nii.gz")
    atlas = nibabel.load(source / "atlas_desikan_killiany.nii.gz")
    found = np.asarray(resample_from_to(atlas, image, order=0).dataobj)
    with (source / "labels_desikan_killiany.csv").open(newline="") as rows:
        table = {int(row["index"]): structure(row["name"]) for row in csv.DictReader(rows)}
    numbers = {name: n for n, name in enumerate(sorted({*filter(None, table.values())}), start=1)}
    labels = np.zeros(found.shape, np.uint8)
    for value, name in table.items():
        if name is not None:
            labels[found == value] = numbers[name]
    place = folder / "Dataset010_MNI"
    for part in ("imagesTr", "labelsTr"):
        (place / part).mkdir(parents=True, exist_ok=True)
    nibabel.save(image, place / "imagesTr" / "MNI_0000.nii.gz")
    nibabel.save(nibabel.Nifti1Image(labels, image.affine), place / "labelsTr" / "MNI.nii.gz")
    described = {
        "channel_names": {"0": "T1"},
        "labels": {"background": 0, **numbers},
        "numTraining": 1,
        "file_ending": ".nii.gz",
        "axes": "column 0 = patient right",
    }
    (place / "dataset.json").write_text(json.dumps(described, indent=1))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args(arguments)
    write(chosen.out)
    print(chosen.out)


if __name__ == "__main__":
    main()
