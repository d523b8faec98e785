"""DICOMweb: find series (QIDO-RS), fetch them (WADO-RS), store segmentations (STOW-RS).

Only servers on a list are ever asked, redirects are not followed, and an answer is cut off at a
size while it is read. Files are written under numbers: no identifier becomes a file's name, a log
line or part of an error.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from pydicom import Dataset, dcmread

from mediround.errors import DependencyError, ImageServerError, InputError, MediRoundError
from mediround.imaging.dicom_series import MAX_FILES
from mediround.imaging.output import ensure_folder, replacing

MAX_ANSWER_BYTES = 2**29
"""Largest answer to one request, once decompressed: 512 MiB."""

MAX_SERIES_BYTES = 2**32
"""Largest series: 4 GiB."""

_STUDY, _SERIES, _INSTANCE = "0020000D", "0020000E", "00080018"
_MODALITY, _COUNT = "00080060", "00201209"
_DESCRIBED = ["StudyInstanceUID", "Modality", "NumberOfSeriesRelatedInstances"]
_FAILED = "FailedSOPSequence"


class SeriesOnServer(NamedTuple):
    """A series that a server has; ``images`` is None where it does not say how many."""

    study: str
    series: str
    modality: str
    images: int | None


class DicomWeb:
    """A DICOMweb server.

    Args:
        url: its root, such as ``http://localhost:8042/dicom-web``.
        allowed: roots that may be asked; ``url`` must be one of them.
        token: sent as a bearer token.
        timeout: seconds without a byte after which a request is given up.

    Raises:
        InputError: a URL that is no root of a server, or one that is not allowed.
        DependencyError: dicomweb-client is not installed.
    """

    def __init__(
        self, url: str, *, allowed: Sequence[str], token: str | None = None, timeout: float = 30.0
    ) -> None:
        root = _root(url)
        if root not in {_root(each) for each in allowed}:
            raise InputError(
                f"the image server {urlsplit(url).hostname!r} is not on the list of this machine",
                expected=f"one of {len(allowed)} listed servers",
                remedy="ask who runs this program to list it",
            )
        self._client = _connect(root, token, timeout)

    def series(
        self, *, study: str | None = None, modality: str | None = None
    ) -> list[SeriesOnServer]:
        """The series of a study, or of the server.

        Raises:
            ImageServerError: the server does not answer, or refuses.
            InputError: ``study`` is no UID.
        """
        filters = {} if modality is None else {"Modality": modality}
        found = _asked(
            lambda: self._client.search_for_series(
                study_instance_uid=study, search_filters=filters, fields=_DESCRIBED
            )
        )
        listed = []
        for each in found:
            count = _value(each, _COUNT)
            listed.append(
                SeriesOnServer(
                    study=str(_value(each, _STUDY) or study or ""),
                    series=str(_value(each, _SERIES) or ""),
                    modality=str(_value(each, _MODALITY) or ""),
                    images=None if count is None else int(count),
                )
            )
        return listed

    def fetch(
        self,
        study: str,
        series: str,
        folder: Path,
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> Path:
        """Write every instance of a series into ``folder``, which ``open_image`` then opens.

        Args:
            study: its UID.
            series: its UID.
            folder: made where needed; should be empty.
            progress: told how many of how many have arrived.

        Raises:
            ImageServerError: the server does not answer, refuses, has no such series or sends
                too much.
            InputError: ``study`` or ``series`` is no UID.
            OutputError: the folder cannot be written.
        """
        found = _asked(lambda: self._client.search_for_instances(study, series))
        uids = sorted({str(_value(each, _INSTANCE) or "") for each in found} - {""})
        if not 1 <= len(uids) <= MAX_FILES:
            raise ImageServerError(
                f"the server has {len(uids)} images of this series",
                expected=f"1 to {MAX_FILES:,}",
                remedy="check the UIDs",
            )
        target, total = ensure_folder(folder), 0
        for place, uid in enumerate(uids, start=1):
            total += _write(self._instance(study, series, uid), target / f"{place:06d}.dcm")
            if total > MAX_SERIES_BYTES:
                raise ImageServerError(
                    f"the series has more than {MAX_SERIES_BYTES:,} bytes",
                    remedy="fetch a smaller one",
                )
            if progress is not None:
                progress(place, len(uids))
        return target

    def store(self, files: Sequence[Path]) -> None:
        """Store DICOM objects, such as the segmentation that ``export`` has written.

        Raises:
            ImageServerError: the server does not answer, or refuses one of them.
        """
        objects = [dcmread(file) for file in files]
        answer: Dataset = _asked(lambda: self._client.store_instances(objects))
        refused = len(answer.get(_FAILED) or ())
        if refused:
            raise ImageServerError(
                f"the server refused {refused} of {len(files)} objects",
                remedy="its log says why",
            )

    def _instance(self, study: str, series: str, uid: str) -> Dataset:
        found: Dataset = _asked(lambda: self._client.retrieve_instance(study, series, uid))
        if str(found.get("SeriesInstanceUID")) != series:
            raise ImageServerError("the server sent an image of another series")
        return found


def _connect(root: str, token: str | None, timeout: float) -> Any:
    try:
        from dicomweb_client.api import DICOMwebClient

        from mediround.imaging.dicomweb_session import BoundedSession
    except ImportError as error:
        raise DependencyError(
            "dicomweb-client is not installed",
            expected="dicomweb-client 0.60 or later for DICOMweb",
            remedy="pip install 'mediround[dicomweb]'",
        ) from error
    # Both name studies and series in their log lines.
    for name in ("dicomweb_client", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    session = BoundedSession(root, MAX_ANSWER_BYTES)
    client = DICOMwebClient(root, session=session, headers=headers, timeout=timeout)
    client.set_http_retry_params(retry=False)
    return client


def _asked(request: Callable[[], Any]) -> Any:
    """Run a request; whatever goes wrong with the server is one typed error.

    The words of the library are left out, and out of the traceback: they quote URLs with UIDs.
    """
    from requests import ConnectionError as NoConnection
    from requests import HTTPError, Timeout

    try:
        return request()
    except MediRoundError:
        raise
    except HTTPError as error:
        code = None if error.response is None else error.response.status_code
        raise ImageServerError(
            f"the image server refuses (HTTP {code})",
            remedy="check the UIDs and the token" if code in (401, 403, 404) else "",
        ) from None
    except (NoConnection, Timeout) as error:
        raise ImageServerError(
            f"the image server does not answer ({type(error).__name__})",
            remedy="check its address, and that it runs",
        ) from None
    except Exception as error:  # noqa: BLE001 - decoders of foreign answers raise nearly anything
        raise ImageServerError(
            f"the image server's answer cannot be read ({type(error).__name__})",
            expected="DICOMweb, and UIDs of digits and dots",
        ) from None


def _value(item: Any, tag: str) -> Any:
    """The first value of a tag in DICOM JSON, None where there is none."""
    values = item.get(tag, {}).get("Value") or [None]
    return values[0]


def _write(dataset: Dataset, path: Path) -> int:
    with replacing(path) as handle:
        dataset.save_as(handle, enforce_file_format=True)
        return handle.tell()


def _root(url: str) -> str:
    parts = urlsplit(url.strip())
    plain = not (parts.username or parts.password or parts.query or parts.fragment)
    if parts.scheme not in ("http", "https") or not parts.hostname or not plain:
        raise InputError(
            "this is not the address of an image server",
            expected="http(s)://host[:port]/path, without a user, query or fragment",
        )
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"
