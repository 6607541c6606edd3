"""Classes and names of attributes from files, so that people can add their own without code.

Files of `include/detection/`, in the order of their names; what they say is joined.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from dynatrail import config_file
from dynatrail.errors import SettingsError
from dynatrail.privacy.detectors import BUILT_IN
from dynatrail.privacy.detectors.base import Detector
from dynatrail.privacy.detectors.names import HARMLESS, Names, dictionary, split
from dynatrail.settings import PROJECT

FOLDER = PROJECT / "include" / "detection"

_LONGEST_PATTERN = 1000
_DISTINCTIVE = 1e5
_OWN = "own"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _words(value: str) -> str:
    if not split(value):
        raise ValueError("has no letter or digit, so no attribute's name can fit it: take it out")
    return value


def _known(value: str, info: ValidationInfo) -> str:
    known: frozenset[str] = (info.context or {}).get("known", frozenset())
    if known and value not in known:
        raise ValueError("is no class or family: docs/reference/discovery.md lists them; define yours under classes")
    return value


Phrase = Annotated[str, AfterValidator(_words)]


class OwnClass(_Part):
    """A class by its pattern."""

    is_: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{1,63}$")] = Field(
        alias="class", description="Its name, in lower case, as a masking policy uses it."
    )
    pattern: str = Field(description="RE2 pattern of a whole value.")
    names: tuple[Phrase, ...] = Field(default=(), description="Names of attributes that speak for it.")
    distinctive: bool = Field(
        default=False, description="Nothing else looks like this: the pattern is enough, whatever the attribute's name."
    )
    inside: bool = Field(default=False, description="Also look for it within longer texts.")

    @field_validator("is_")
    @classmethod
    def _is_new(cls, value: str) -> str:
        if value in {one.name for one in BUILT_IN} | {one.family for one in BUILT_IN} | {HARMLESS, _OWN}:
            raise ValueError("is built in already: give yours another name")
        return value

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, value: str) -> str:
        if len(value) > _LONGEST_PATTERN:
            raise ValueError(f"must have at most {_LONGEST_PATTERN} characters; split it into several classes")
        try:
            empty = pc.match_substring_regex(pa.array(["", "a", "1"]), pattern=f"^(?:{value})$").to_pylist()
        except pa.ArrowInvalid as error:
            reason = str(error).removeprefix("Invalid regular expression: ")
            raise ValueError(
                f"is no RE2 pattern, {reason}. Look-around and back-references do not exist in RE2"
            ) from None
        if any(empty):
            raise ValueError("must not fit an empty or a one-character text: nearly every attribute would be found")
        return value


class DetectionFile(_Part):
    """One file."""

    version: Literal[1] = Field(description="Form of this file.")
    names: dict[Annotated[str, AfterValidator(_known)], tuple[Phrase, ...]] = Field(
        default={}, description="Class or family, and the names of attributes that speak for it."
    )
    harmless: tuple[Phrase, ...] = Field(
        default=(), description="Names of attributes that speak against anything sensitive."
    )
    classes: tuple[OwnClass, ...] = Field(default=(), description="Classes of your own.")


@dataclass(frozen=True, slots=True)
class Detection:
    """All that is looked for.

    Attributes:
        detectors: built-in ones, then those of files.
    """

    detectors: tuple[Detector, ...]
    names: Names

    @property
    def classes(self) -> frozenset[str]:
        return frozenset(one.name for one in self.detectors)


def load(folder: Path = FOLDER) -> Detection:
    """What the files of a folder add to the built-in classes.

    Raises:
        SettingsError: the folder is not there, or a file is wrong; names file, line and fix.
    """
    if not folder.is_dir():
        raise SettingsError(
            f"{folder} is no folder, so nothing says what sensitive attributes are called. Make it, or "
            "unset DYNATRAIL_DETECTION."
        )
    sources = [config_file.read(path, "docs/reference/discovery.md") for path in sorted(folder.glob("*.yaml"))]
    files = [_validated(source, {}) for source in sources]
    own = [(source.path, one) for source, file in zip(sources, files, strict=True) for one in file.classes]
    _check_twins(own)
    detectors = BUILT_IN + tuple(_detector(one) for _, one in own)
    known = frozenset(one.name for one in detectors) | {one.family for one in detectors}
    for source in sources:
        _validated(source, {"known": known})
    entries = [(HARMLESS, file.harmless) for file in files]
    entries += [entry for file in files for entry in file.names.items()]
    entries += [(one.is_, one.names) for _, one in own]
    return Detection(detectors, dictionary(entries))


def _validated(source: config_file.Source, context: dict[str, Any]) -> DetectionFile:
    try:
        return DetectionFile.model_validate(source.content, context=context)
    except ValidationError as error:
        raise source.refused(error, DetectionFile) from None


def _check_twins(own: Iterable[tuple[Path, OwnClass]]) -> None:
    seen: dict[tuple[str, str], Path] = {}
    for path, one in own:
        earlier = seen.setdefault((one.is_, one.pattern), path)
        if earlier is not path:
            raise SettingsError(
                f"{path}: the class {one.is_} has this pattern in {earlier.name} already. Take one out."
            )


def _detector(one: OwnClass) -> Detector:
    rarity = _DISTINCTIVE if one.distinctive else 1.0
    return Detector(
        one.is_, _OWN, one.pattern, rarity=rarity, needs_name=not one.distinctive, inside=one.inside and one.distinctive
    )
