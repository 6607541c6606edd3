"""The masking policy: what is done with each attribute of each table before anything of it is stored.

Files of `include/masking/`, or of the folder that `DYNATRAIL_MASKING` names, in the order of their names. The first
entry whose `match` fits a table's name rules that table alone. Where several of its paths lead to a value or to
something around it, the longest one counts, and of equally long ones the first.

Of a table without an entry no value is kept, but for the token of its items' keys. A file that is wrong stops every run
that would store an image; nothing is stored under a policy that was not understood.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from dynatrail import config_file
from dynatrail.config import TablePattern
from dynatrail.errors import SettingsError
from dynatrail.privacy.actions import REDACT, Action, Generalisation, Mask

if TYPE_CHECKING:
    from dynatrail.settings import Settings

DEEPEST = 32
"""Levels of nesting that DynamoDB allows ("Service quotas", DynamoDB developer guide)."""

ANY = "*"
MEMBER = 0
"""Any member of a list, as in the paths of tokens."""

Step = str | int
_REMEMBERED = 10_000
_PLAIN = re.compile(r'[^.\[\]"*]+')
_STEP = re.compile(r'(?P<dot>\.)?(?:"(?P<quoted>(?:[^"\\]|\\.)+)"|(?P<plain>[^.\[\]"]+)|(?P<member>\[\]))')


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Doing(_Part):
    """What is done with a value."""

    action: Action = Field(
        description="`drop` (value and name are gone), `redact` (`***`; name and type stay), `token` (equal values of "
        "one attribute have one token), `partial` (ends stay), `generalise`, "
        "`encrypt` (under the subject's own key, until they are erased), `keep` (in clear)."
    )
    keep_first: int = Field(default=0, ge=0, le=8, description="`partial`: characters left at the beginning.")
    keep_last: int = Field(default=0, ge=0, le=8, description="`partial`: characters left at the end.")
    to: Generalisation | None = Field(
        default=None,
        description="`generalise`: `year`, `month` or `day` of an ISO 8601 date, the lower end of a number's "
        "`bucket`, the `prefix` of an IP address.",
    )
    size: Decimal | None = Field(default=None, gt=0, description="Width of a `bucket`.")
    ipv4: int = Field(default=24, ge=8, le=31, description="Bits of a `prefix` of IPv4.")
    ipv6: int = Field(default=48, ge=16, le=127, description="Bits of a `prefix` of IPv6.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.action == "partial" and not self.keep_first + self.keep_last:
            raise ValueError("partial keeps nothing: give keep_first or keep_last, or take redact")
        if self.action == "generalise" and self.to is None:
            raise ValueError("generalise needs to: year, month, day, bucket or prefix")
        if (self.to == "bucket") != (self.size is not None):
            raise ValueError("a bucket needs its size, and nothing else has one")
        for name, action in (("keep_first", "partial"), ("keep_last", "partial"), ("to", "generalise")):
            if getattr(self, name) and self.action != action:
                raise ValueError(f"{name} goes with {action}, not with {self.action}")
        return self

    @property
    def mask(self) -> Mask:
        return Mask(self.action, self.keep_first, self.keep_last, self.to, self.size, self.ipv4, self.ipv6)


class AttributeRule(_Part):
    """What an attribute is, and what is done with it."""

    path: str = Field(
        description="Attribute, then the maps' members below it: `contact.email`; `phones[]` is any member of a list, "
        '`*` any name; a name with a dot stands in double quotes: `"first.name"`.'
    )
    is_: str = Field(default="", alias="class", description="What it holds: a class of docs/reference/discovery.md.")
    do: Doing | None = Field(default=None, description="What is done with it; empty: what `classes` says of its class.")

    @field_validator("path")
    @classmethod
    def _leads_somewhere(cls, value: str) -> str:
        steps(value)
        return value

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.is_ and self.do is None:
            raise ValueError("says nothing: give do, or class")
        return self


class Subject(_Part):
    """Whom the items of a table are about."""

    attribute: str = Field(min_length=1, description="Top-level attribute that says it: a text or a number.")
    name: str = Field(
        default="",
        description="What the attribute is called where it is a key, so that one person is one subject in all tables; "
        "empty: the same.",
    )


class TablePolicy(_Part):
    """The attributes of the tables whose names match."""

    match: TablePattern = Field(
        description="Table name with `*` and `?`; the first entry that fits rules a table alone."
    )
    otherwise: Literal["redact", "token", "drop"] = Field(
        default="redact", description="What is done with attributes that no path leads to."
    )
    subject: Subject | None = Field(default=None, description="Whom an item is about; `encrypt` needs it.")
    alert_on_reveal: bool = Field(
        default=False, description="Whether each reveal of encrypted values is a finding, beside its record."
    )
    attributes: tuple[AttributeRule, ...] = Field(default=(), description="Paths and what is done with them.")

    @model_validator(mode="after")
    def _once(self) -> Self:
        seen: set[tuple[Step, ...]] = set()
        for rule in self.attributes:
            if (path := steps(rule.path)) in seen:
                raise ValueError(f"{rule.path} stands in attributes twice: join the two")
            seen.add(path)
        return self

    def deciding(self, path: tuple[Step, ...]) -> AttributeRule | None:
        """The rule that decides what is done with the value at `path`; None: `otherwise` does."""
        fitting = [(steps(rule.path), rule) for rule in self.attributes]
        fitting = [(rule, one) for rule, one in fitting if leads_to(rule, path)]
        return max(fitting, key=lambda one: len(one[0]))[1] if fitting else None


class PolicyFile(_Part):
    """One file of the policy."""

    version: Literal[1] = Field(description="Form of this file.")
    tables: tuple[TablePolicy, ...] = Field(default=(), description="What is done with the attributes of which tables.")
    classes: dict[str, Doing] = Field(default={}, description="What is done with attributes of a class, in all files.")


@dataclass(frozen=True, slots=True)
class TableMasks:
    """What is done with the values of one table, remembered by path."""

    rules: tuple[tuple[tuple[Step, ...], Mask], ...] = ()
    otherwise: Mask = REDACT
    subject: Subject | None = None
    _known: dict[tuple[Step, ...], Mask] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def encrypts(self) -> bool:
        """Whether some values are kept under their subject's key."""
        return any(mask.action == "encrypt" for _, mask in self.rules)

    @property
    def hides(self) -> bool:
        """Whether two values that differ may look alike, so that what changed cannot be read off masked images."""
        masks = (self.otherwise, *(mask for _, mask in self.rules))
        return any(mask.action not in ("token", "encrypt", "keep") for mask in masks)

    def at(self, path: tuple[Step, ...]) -> Mask:
        """What is done with the value at `path`; members of lists are 0."""
        mask = self._known.get(path)
        if mask is None:
            fitting = [(len(rule), mask) for rule, mask in self.rules if leads_to(rule, path)]
            mask = max(fitting, key=lambda one: one[0])[1] if fitting else self.otherwise
            if len(self._known) >= _REMEMBERED:  # the names of a map may be ids, without end
                self._known.clear()
            self._known[path] = mask
        return mask


@dataclass(frozen=True, slots=True)
class Policy:
    """All files together."""

    tables: tuple[TablePolicy, ...] = ()
    classes: Mapping[str, Doing] = field(default_factory=dict)

    def of(self, table_name: str) -> TableMasks:
        """What is done with the values of a table."""
        found = next((one for one in self.tables if fnmatchcase(table_name, one.match)), None)
        if found is None:
            return TableMasks()
        rules = ((steps(rule.path), (rule.do or self.classes[rule.is_]).mask) for rule in found.attributes)
        return TableMasks(tuple(rules), Mask(found.otherwise), found.subject)

    def entry(self, table_name: str) -> TablePolicy | None:
        """The entry that rules a table."""
        return next((one for one in self.tables if fnmatchcase(table_name, one.match)), None)

    def told(self) -> dict[str, Any]:
        """The policy as JSON, for evidence."""
        return {
            "tables": [one.model_dump(mode="json", by_alias=True, exclude_defaults=True) for one in self.tables],
            "classes": {name: one.model_dump(mode="json", exclude_defaults=True) for name, one in self.classes.items()},
        }


def load(settings: "Settings") -> Policy:
    """The policy of the files in the settings' folder; none there: no value is kept.

    Raises:
        SettingsError: a file is wrong, or the folder that DYNATRAIL_MASKING names is not there; names file, line, fix.
    """
    return joined(files(settings))


def files(settings: "Settings") -> list[tuple[Path, PolicyFile]]:
    """The files of the settings' folder, in the order in which they count.

    Raises:
        SettingsError: as `load`.
    """
    folder = settings.masking_folder
    if not folder.is_dir():
        raise SettingsError(
            f"{folder} is no folder, so there is no masking policy. Make it, or unset DYNATRAIL_MASKING."
        )
    return [(path, _read(path)) for path in sorted(folder.glob("*.yaml"))]


def joined(read: Sequence[tuple[Path, PolicyFile]]) -> Policy:
    """The policy that these files give, in this order.

    Raises:
        SettingsError: they do not go together; names file and fix.
    """
    classes: dict[str, Doing] = {}
    for path, file in read:
        for name, doing in file.classes.items():
            if classes.setdefault(name, doing) != doing:
                raise SettingsError(
                    f"{path}: the class {name} is in another file already, with another action. Join the two."
                )
    tables = [(path, table) for path, file in read for table in file.tables]
    _check(tables, classes)
    return Policy(tuple(table for _, table in tables), classes)


def steps(path: str) -> tuple[Step, ...]:
    """A path taken apart; 0 is any member of a list.

    Raises:
        ValueError: it is none, or leads nowhere in DynamoDB; says why.
    """
    found: list[Step] = []
    at = 0
    for match in _STEP.finditer(path):
        if match.start() != at or (match["dot"] is None) != (not found or match["member"] is not None):
            break
        found.append(MEMBER if match["member"] else match["plain"] or re.sub(r"\\(.)", r"\1", match["quoted"]))
        at = match.end()
    if not found or at != len(path):
        index = re.match(r"[^\[\]]+\[(\d+)\]", path)
        hint = (
            "write [] for any member of a list; single members have no name"
            if index
            else "write contact.email, phones[].number"
        )
        raise ValueError(f"{path!r} is no path of an attribute: {hint}")
    if found[0] == MEMBER:
        raise ValueError(f"{path!r} begins with a list's member, but an item is a map: begin with an attribute's name")
    if len(found) > DEEPEST + 1:
        raise ValueError(f"{path!r} is deeper than DynamoDB's {DEEPEST} levels, so nothing can be there")
    return tuple(found)


def written(path: tuple[Step, ...]) -> str:
    """A path as the policy writes it; `steps` takes it apart again."""
    text = ""
    for step in path:
        if step == MEMBER:
            text += "[]"
            continue
        name = str(step)
        if not _PLAIN.fullmatch(name):
            name = '"' + re.sub(r'(["\\])', r"\\\1", name) + '"'
        text += f".{name}" if text else name
    return text


def leads_to(rule: tuple[Step, ...], path: tuple[Step, ...]) -> bool:
    """Whether the rule names the value or something around it."""
    return len(rule) <= len(path) and all(
        mine == other or (mine == ANY and other != MEMBER) for mine, other in zip(rule, path, strict=False)
    )


def _read(path: Path) -> PolicyFile:
    source = config_file.read(path, "docs/reference/masking.md")
    try:
        return PolicyFile.model_validate(source.content)
    except ValidationError as error:
        raise source.refused(error, PolicyFile) from None


def _check(tables: Iterable[tuple[Path, TablePolicy]], classes: Mapping[str, Doing]) -> None:
    before: list[tuple[Path, TablePolicy]] = []
    for path, table in tables:
        for earlier, other in before:
            if fnmatchcase(table.match, other.match):
                raise SettingsError(
                    f"{path}: the entry {table.match!r} is never reached, since {other.match!r} in {earlier.name} "
                    "before it matches the same names. Put the narrower one first; files count in the order of their "
                    "names."
                )
        if table.subject is None and (rule := _subjectless(table, classes)):
            raise SettingsError(
                f"{path}: {rule.path} of {table.match} is encrypted, and nothing says whose it is. Give the entry a "
                "`subject` with the attribute that names the person."
            )
        for rule in _classless(table, classes):
            raise SettingsError(
                f"{path}: {rule.path} of {table.match} is of class {rule.is_}, and no file says under `classes` what "
                "is done with that. Add it there, or give the path its own `do`."
            )
        before.append((path, table))


def _subjectless(table: TablePolicy, classes: Mapping[str, Doing]) -> AttributeRule | None:
    doings = ((rule, rule.do or classes.get(rule.is_)) for rule in table.attributes)
    return next((rule for rule, doing in doings if doing and doing.action == "encrypt"), None)


def _classless(table: TablePolicy, classes: Mapping[str, Doing]) -> Iterator[AttributeRule]:
    return (rule for rule in table.attributes if rule.do is None and rule.is_ not in classes)
