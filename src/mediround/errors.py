"""One exception tree; every message says what was found, what was expected, and the remedy.

MediRoundError
├── InputError                 the caller's input is at fault (exit code 2)
│   ├── ImageFileError         a picture, volume or DICOM object that cannot be read
│   ├── QueryError             a question that cannot be asked
│   │   └── UnknownReferenceError
│   ├── ModelNotFoundError     no preset, no folder of that name
│   ├── ConfigError            a configuration that contradicts itself
│   ├── DatasetError           a data set whose files do not fit together
│   │   └── CaseError          one case of it; the others can still be used
│   ├── SessionFileError       a saved session that cannot be resumed
│   ├── CheckpointFileError    a checkpoint of no known layout, or one that would run code
│   └── OutputError            a folder that cannot be written, a full disk
├── WeightsError               weights missing, corrupted or not convertible (exit code 1)
├── EndpointError              a language model's endpoint refuses or does not answer (exit code 1)
├── ImageServerError           a DICOMweb server refuses or does not answer (exit code 1)
└── DependencyError            an optional package is not installed (exit code 1)
"""


class MediRoundError(Exception):
    """Base of every error this package raises on purpose.

    Args:
        found: what the program met, with the offending value.
        expected: what it needs instead; may be empty when ``found`` says it all.
        remedy: what a person can do about it; may be empty.
    """

    exit_code = 1

    def __init__(self, found: str, *, expected: str = "", remedy: str = "") -> None:
        self.found = found
        self.expected = expected
        self.remedy = remedy
        parts = [found.rstrip(".")]
        if expected:
            parts.append(f"expected {expected.rstrip('.')}")
        if remedy:
            parts.append(remedy.rstrip("."))
        super().__init__("; ".join(parts) + ".")


class InputError(MediRoundError):
    """The caller's input is at fault."""

    exit_code = 2


class ImageFileError(InputError):
    """A picture, volume or DICOM object cannot be read or is not what it claims to be."""


class QueryError(InputError):
    """A question cannot be asked: empty, too long, not text."""


class UnknownReferenceError(QueryError):
    """A question refers to a mask that does not exist."""


class ModelNotFoundError(InputError):
    """No preset and no model folder has this name."""


class ConfigError(InputError):
    """A configuration has unknown keys or contradicts itself."""


class DatasetError(InputError):
    """The files of a data set do not fit together."""


class CaseError(DatasetError):
    """One case of a data set cannot be used; the others can.

    Args:
        found: see :class:`MediRoundError`.
        expected: see :class:`MediRoundError`.
        remedy: see :class:`MediRoundError`.
        case: name of the case in its data set.
    """

    def __init__(self, found: str, *, expected: str = "", remedy: str = "", case: str = "") -> None:
        super().__init__(found, expected=expected, remedy=remedy)
        self.case = case


class SessionFileError(InputError):
    """A saved session cannot be resumed."""


class CheckpointFileError(InputError):
    """Somebody's checkpoint is of no known layout, or would run code when it is loaded."""


class OutputError(InputError):
    """Results cannot be written where the caller asked."""


class WeightsError(MediRoundError):
    """Weights are missing, corrupted or cannot be converted."""


class EndpointError(MediRoundError):
    """The endpoint of a language model refuses, or does not answer."""


class ImageServerError(MediRoundError):
    """A DICOMweb server refuses, does not answer, or sends what it should not."""


class DependencyError(MediRoundError):
    """An optional package that a feature needs is not installed."""
