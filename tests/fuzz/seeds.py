"""Small sound files of every kind that the program reads: what the fuzzer damages."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from PIL import Image as PillowImage
from pydicom.data import get_testdata_file

from mediround.dialogue import Dialogue, Entity, Rle, Round
from mediround.imaging import Image, Modality
from mediround.imaging.stored import ABOUT, write_stored
from mediround.session.store import SessionFile

DICOM = (
    "MR_small.dcm",
    "MR_small_RLE.dcm",
    "MR_small_bigendian.dcm",
    "MR_small_implicit.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "JPEG-lossy.dcm",
    "SC_rgb_jpeg_dcmtk.dcm",
    "SC_rgb_rle_16bit_2frame.dcm",
    "SC_rgb_small_odd.dcm",
    "image_dfl.dcm",
    "rtdose_1frame.dcm",
)


def seeds() -> dict[str, list[bytes]]:
    """Kind of file -> examples."""
    dicom = [Path(str(get_testdata_file(name))).read_bytes() for name in DICOM]
    return {
        "dicom": dicom,
        "nifti": _nifti(),
        "raster": _rasters(),
        "mask": _masks(),
        "zip": [_zipped(dicom[:2]), _zipped(_rasters()[:1])],
        "session": [_session()],
        "rle": [Rle.encode(_ellipse()).model_dump_json().encode()],
        "coco": [_coco()],
        "official": [_official()],
        "stored": [_about()],
    }


def _nifti() -> list[bytes]:
    random = np.random.default_rng(0)
    found = []
    library: Any = nibabel
    for kind, dtype in ((library.Nifti1Image, np.int16), (library.Nifti2Image, np.float32)):
        values = (random.random((9, 10, 8)) * 900).astype(dtype)
        made = kind(values, np.diag([1.0, 1.0, 2.0, 1.0]))
        found += [made.to_bytes(), gzip.compress(made.to_bytes(), mtime=0)]
    return found


def _rasters() -> list[bytes]:
    random = np.random.default_rng(0)
    gray = random.integers(0, 255, (20, 24), dtype=np.uint8)
    deep = random.integers(0, 60_000, (20, 24), dtype=np.uint16)
    colour = random.integers(0, 255, (20, 24, 3), dtype=np.uint8)
    wanted: list[tuple[np.ndarray[Any, Any], str, dict[str, Any]]] = [
        (gray, "PNG", {}),
        (deep, "PNG", {}),
        (colour, "PNG", {}),
        (gray, "TIFF", {}),
        (colour, "TIFF", {"compression": "tiff_lzw"}),
        (deep, "TIFF", {"compression": "tiff_adobe_deflate"}),
        (gray, "JPEG", {}),
        (colour, "JPEG", {"progressive": True}),
    ]
    found = []
    for pixels, kind, options in wanted:
        out = io.BytesIO()
        PillowImage.fromarray(pixels).save(out, format=kind, **options)
        found.append(out.getvalue())
    out = io.BytesIO()
    PillowImage.fromarray(gray).convert("P").save(out, format="PNG", transparency=3)
    return [*found, out.getvalue()]


def _masks() -> list[bytes]:
    out = io.BytesIO()
    PillowImage.fromarray(_ellipse().astype(np.uint8) * np.uint8(255)).save(out, format="PNG")
    return [out.getvalue()]


def _zipped(files: list[bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, data in enumerate(files):
            archive.writestr(zipfile.ZipInfo(f"{number}.bin"), data)
    return out.getvalue()


def _ellipse() -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    y, x = np.mgrid[:20, :24]
    inside: np.ndarray[tuple[int, int], np.dtype[np.bool_]] = (y - 9) ** 2 + (x - 12) ** 2 < 40
    return inside


def _dialogue() -> Dialogue:
    given = Entity.from_mask(1, _ellipse(), name="mine", status="given")
    drawn = Entity.from_mask(2, ~_ellipse(), name="liver", score=0.8, refers_to=(1,))
    absent = Entity(id=3, name="spleen", status="absent")
    rounds = (
        Round(query="Beside [1].", text="The liver is [2].", entities=(drawn,)),
        Round(query="The spleen?", text="There is no spleen.", entities=(absent,)),
    )
    return Dialogue(modality="CT", given=(given,), rounds=rounds)


def _session() -> bytes:
    dialogue = _dialogue()
    file = SessionFile(
        image=None,
        image_sha256="0" * 64,
        modality=Modality.CT,
        model="tiny",
        weights_sha256="1" * 64,
        given=dialogue.given,
        rounds=dialogue.rounds,
    )
    return file.model_dump_json().encode()


def _coco() -> bytes:
    code = Rle.encode(_ellipse()).model_dump(mode="json")
    runs = {"size": [20, 24], "counts": [100, 80, 300]}
    outlines = [code, runs, [[2, 2, 12, 2, 12, 9.5, 2, 9]]]
    content = {
        "images": [{"id": 1, "file_name": "image.png", "height": 20, "width": 24}],
        "annotations": [
            {"id": n, "image_id": 1, "category_id": 1, "iscrowd": 0, "segmentation": each}
            for n, each in enumerate(outlines, start=1)
        ],
        "categories": [{"id": 1, "name": "liver"}],
    }
    return json.dumps(content).encode()


def _official() -> bytes:
    turns = [
        {"from": "human", "value": "[IMAGE256:images/a.png] Segment the liver."},
        {"from": "gpt", "value": "It is [MASK-DECODE:masks/1.png]."},
        {
            "from": "human",
            "value": "Beside [MASK-ENCODE:masks/1.png][BOX-ENCODE:masks/1.png]?",
            "ind": 0,
        },
        {"from": "gpt", "value": "[REF-DECODE:masks/1.png] [MASK-DECODE:masks/2.png]"},
    ]
    return json.dumps([{"task": "segmentation", "base": "[null]", "conversations": turns}]).encode()


def _about() -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        write_stored(Path(folder), Image.from_array(np.zeros((9, 9), dtype=np.uint8)))
        return (Path(folder) / ABOUT).read_bytes()


def picture() -> bytes:
    """The image that the COCO file is about."""
    return _rasters()[0]
