"""Reading the configuration file, and saying what is wrong with it: line, field, value, fix.

A value is shown where it helps and cannot be a secret: people put keys where they do not belong. YAML's own errors
quote the line that they are about, so only their position is passed on.
"""

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from dynatrail.errors import SettingsError

CONFIGURATION = "docs/reference/configuration.md"
_LONGEST = 60
_SECRET_NAME = re.compile(r"secret|password|passwd|token|credential|private|external_id|access_?key", re.IGNORECASE)
_SECRET_VALUE = re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{12,}|-----BEGIN|[A-Za-z0-9+/=_-]{32,}")
_BOOLEANS = {True: "true", False: "false"}

Place = tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """A file's content, and the tree that knows where each value stands.

    Attributes:
        content: what YAML makes of it; an empty mapping for an empty file.
        page: where it is said what such a file takes.
    """

    path: Path
    content: Any
    page: str
    _tree: yaml.Node | None

    def refused(self, error: ValidationError, model: type[BaseModel]) -> SettingsError:
        """The error for people, with each fault on a line of its own when there are several."""
        faults = list(dict.fromkeys(self._fault(fault, model) for fault in error.errors(include_url=False)))
        help_ = f"{self.page} says what each field takes."
        if len(faults) == 1:
            return SettingsError(f"{self.path}, {faults[0]}. {help_}")
        lines = "".join(f"\n  {fault}" for fault in faults)
        return SettingsError(f"{self.path} has {len(faults)} faults:{lines}\n{help_}")

    def _fault(self, fault: Any, model: type[BaseModel]) -> str:
        place: Place = tuple(part for part in fault["loc"] if part != "[key]")
        node = self._node(place)
        line = f"line {node.start_mark.line + 1}" if node is not None else "line 1"
        return f"{line}, {_dotted(place)}{self._told(fault, place, node, model)}"

    def _told(self, fault: Any, place: Place, node: yaml.Node | None, model: type[BaseModel]) -> str:
        kind, given = fault["type"], fault["input"]
        if kind == "extra_forbidden":
            return f" is no field{_suggestion(place, model)}"
        if kind == "missing":
            return " is missing"
        if kind == "string_type" and isinstance(node, yaml.ScalarNode):
            if given is None:
                return ' has no value: give one, or "" for none'
            name = place[-1] if fault["loc"][-1] == "[key]" else node.value
            written = name if _may_show(place, str(name)) else "…"
            return f' must be text, and YAML reads {written} as {_yaml_name(given)}: put it in quotes, "{written}"'
        if kind == "tuple_type":
            return f" must be a list: [{_shown(place, given)}]" if isinstance(given, str) else " must be a list"
        if kind == "dict_type" or kind.startswith("model_"):
            return " must be a mapping of fields to values"
        if kind == "too_short":
            return " is empty: name at least one"
        told = fault["msg"].removeprefix("Value error, ")
        told = told[:1].lower() + told[1:] if kind != "value_error" else told
        shown = _shown(place, given)
        joined = f" {told}" if told.startswith("must ") else f": {told}"
        return f"{joined} (it is {shown})" if shown else joined

    def _node(self, place: Place) -> yaml.Node | None:
        """The value at a place, or the nearest thing around it."""
        node = self._tree
        for part in place:
            inner = _child(node, part)
            if inner is None:
                break
            node = inner
        return node


def read(path: Path, page: str = CONFIGURATION) -> Source:
    """Read a file as YAML, keys that stand twice refused; `page` says what such a file takes.

    Raises:
        SettingsError: it cannot be read, is no YAML, or holds something else than a mapping; names line and column.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not UTF-8 text (byte {error.start}). Save it as UTF-8.") from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}. Is it a file, and may you read it?") from None
    try:
        loader = yaml.SafeLoader(text)
        tree = loader.get_single_node()
        _refuse_twins(path, tree, set())
        content = loader.construct_document(tree) if tree is not None else {}
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "somewhere"
        # YAML's words may quote what the file says.
        problem = re.sub(r"'[^']{2,}'", "…", error.problem or error.context or "it does not parse")
        raise SettingsError(f"{path}, {where}: this is no YAML, {problem}. {_form(page)}") from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise SettingsError(f"{path} cannot be read as YAML. {_form(page)}") from None
    if not isinstance(content, dict | None):
        example = "trails: […]" if page == CONFIGURATION else "version: 1"
        raise SettingsError(f"{path} must be a mapping such as `{example}`. {_form(page)}")
    return Source(path, content or {}, page, tree)


def _form(page: str) -> str:
    return f"{'config/example.yaml' if page == CONFIGURATION else page} shows the form."


def _refuse_twins(path: Path, node: yaml.Node | None, seen: set[int]) -> None:
    """YAML takes the last of two equal keys without a word; here that would drop accounts."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for inner in node.value:
            _refuse_twins(path, inner, seen)
    if isinstance(node, yaml.MappingNode):
        keys: dict[str, int] = {}
        for key, inner in node.value:
            line = key.start_mark.line + 1
            if isinstance(key, yaml.ScalarNode) and key.value != "<<" and keys.setdefault(key.value, line) != line:
                raise SettingsError(
                    f"{path}, line {line}: {key.value!r} stands here a second time, after line {keys[key.value]}, and "
                    "YAML would take only this one. Join the two."
                )
            _refuse_twins(path, inner, seen)


def _child(node: yaml.Node | None, part: int | str) -> yaml.Node | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        inner: yaml.Node = node.value[part]
        return inner
    if isinstance(node, yaml.MappingNode):
        return next((inner for key, inner in node.value if key.value == str(part)), None)
    return None


def _dotted(place: Place) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return text.lstrip(".") or "the file"


def _suggestion(place: Place, model: type[BaseModel]) -> str:
    """What an unknown field may have been meant for; its value is never shown."""
    name = str(place[-1])
    if _SECRET_NAME.search(name):
        return ": keys and passwords belong into the Airflow connection, never into this file"
    known = list(_model_at(place[:-1], model).model_fields)
    if close := difflib.get_close_matches(name, known, n=1, cutoff=0.6):
        return f"; did you mean {close[0]}?"
    return f"; there are {', '.join(known)}"


def _model_at(place: Place, model: type[BaseModel]) -> type[BaseModel]:
    for part in place:
        if isinstance(part, str) and part in model.model_fields:
            model = _inner(model.model_fields[part].annotation) or model
    return model


def _inner(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return annotation if issubclass(annotation, BaseModel) else None
    if isinstance(annotation, UnionType) or get_origin(annotation):
        return next(filter(None, map(_inner, get_args(annotation))), None)
    return None


def _yaml_name(value: object) -> str:
    if isinstance(value, bool):
        return f"the boolean {_BOOLEANS[value]}"
    return {int: "a number", float: "a number", list: "a list", dict: "a mapping"}.get(
        type(value), "a date or the like"
    )


def _may_show(place: Place, text: str) -> bool:
    if any(isinstance(part, str) and _SECRET_NAME.search(part) for part in place):
        return False
    # An ARN's parts are names; anywhere else a long run of letters and digits may be a key.
    return not _SECRET_VALUE.search("" if text.startswith("arn:") and "BEGIN" not in text else text)


def _shown(place: Place, value: object) -> str:
    """A scalar as the file gives it, cut where it is long; empty for what is no scalar or may be secret."""
    if not isinstance(value, str | int | float) or not _may_show(place, str(value)):
        return ""
    text = _BOOLEANS[value] if isinstance(value, bool) else str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
