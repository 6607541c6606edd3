"""Every error that Dynatrail raises on purpose.

::

    DynatrailError
    ├── SettingsError        a setting is missing or wrong
    ├── SourceError          an AWS source cannot be read: bucket, permission, throttling, connection
    │   └── ObjectError      one object cannot be read; it is quarantined and the others go on
    ├── QualityError         a `fail` expectation stopped a batch before anything became visible
    │   └── ExportError         an export does not prove what it says, or is not whole; nothing of it was loaded
    ├── WarehouseError       a table cannot be read or written
    │   └── SliceConflictError  other writers kept winning the same slice; nothing was written
    ├── StateError           the state database cannot be used
    ├── PrivacyError         a value cannot be encrypted, read or erased as asked
    ├── EvidenceError        a snapshot cannot be made or does not verify
    ├── SandboxError         the local AWS account cannot do what a scenario asks
    └── LocalAirflowError    Airflow on this machine does not start, or one of its processes ended

Each message says what went wrong, where, and what to do next; none carries a value of an item.
"""


class DynatrailError(Exception):
    """Base of all; `str()` is one or two sentences for a person: what, where, what to do next."""


class SettingsError(DynatrailError):
    pass


class SourceError(DynatrailError):
    pass


class ObjectError(SourceError):
    """One source object is unusable as a whole.

    Attributes:
        code: short reason for the `quarantine` table, such as `truncated_gzip`.
        position: where in it, as that table says it: `object` or `byte N` of the uncompressed content.
    """

    def __init__(self, code: str, message: str, position: str = "object") -> None:
        super().__init__(message)
        self.code = code
        self.position = position


class QualityError(DynatrailError):
    pass


class ExportError(QualityError):
    pass


class WarehouseError(DynatrailError):
    pass


class SliceConflictError(WarehouseError):
    pass


class StateError(DynatrailError):
    pass


class PrivacyError(DynatrailError):
    pass


class EvidenceError(DynatrailError):
    pass


class SandboxError(DynatrailError):
    pass


class LocalAirflowError(DynatrailError):
    pass
