"""What the masking policy should say of what was found: whole files for a person to approve, and their way into force.

A proposal is the entry that rules a table now, with the paths added whose values it does not hide. It goes into a file
of its own, `proposed-TABLE.yaml`, where the policy stays whole with it and does what was proposed; else a person puts
the text where it belongs. No file that a person wrote or changed is ever written to. The better way is Git's: commit
the text, have it reviewed, and let the deployment bring it.
"""

import hashlib
import json
import logging
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from dynatrail.errors import SettingsError
from dynatrail.privacy import policy, protection
from dynatrail.privacy.policy import ANY, AttributeRule, Doing, Policy, PolicyFile, TablePolicy
from dynatrail.privacy.sensitive_rows import Row, latest, policy_path, protected_by
from dynatrail.settings import Settings
from dynatrail.warehouse.store import Warehouse

_MARK = "# Approved in discover_sensitive_data; a person's change makes this file theirs. sha256:"
_LONGEST_BODY = 40_000

_LOG = logging.getLogger(__name__)

File = tuple[Path, PolicyFile]


@dataclass(frozen=True, slots=True)
class Proposal:
    """What is proposed for one table.

    Attributes:
        why: a line for each class at each path that is not hidden: path, class, confidence, counts, action in force.
        text: the policy file.
        by_hand: where a person must put it; empty: `proposed-TABLE.yaml` does.
    """

    table_name: str
    why: tuple[str, ...]
    text: str
    by_hand: str = ""

    @property
    def file_name(self) -> str:
        return f"proposed-{self.table_name}.yaml"


def propose(settings: Settings, table_name: str = "") -> list[Proposal]:
    """Proposals for all tables, or for one, by what the last look at each found and the policy as it is now.

    Raises:
        SettingsError: the policy is wrong.
    """
    files = policy.files(settings)
    masked = policy.joined(files)
    by_name: dict[str, list[Row]] = {}
    for rows in latest(Warehouse.from_settings(settings)).values():
        for row in rows:
            if row["status"] != "gone" and table_name in ("", row["table_name"]):
                by_name.setdefault(row["table_name"], []).append(row)
    made = (_proposal(settings.masking_folder, files, masked, name, rows) for name, rows in sorted(by_name.items()))
    return [one for one in made if one]


def for_approval(settings: Settings, table_name: str, *, ask: bool) -> dict[str, Any]:
    """The proposals as the task of the approval takes them: `body` is what the person reads, `texts` is by table.

    Raises:
        AirflowSkipException: nothing is proposed, or nobody is to be asked; the log has the proposals then.
    """
    from airflow.sdk.exceptions import AirflowSkipException

    found = propose(settings, table_name)
    if not found:
        raise AirflowSkipException("The masking policy hides all that was found.")
    told = body(found, settings.masking_folder)
    _LOG.info("%s", told)
    if not ask:
        raise AirflowSkipException("Nobody is to be asked.")
    return {"body": told, "texts": {one.table_name: one.text for one in found}}


def approved(settings: Settings, proposed: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, list[str]]:
    """Apply what a person approved; `answer` is what the approval gave back.

    Raises:
        SettingsError: as `apply`.
    """
    user = answer.get("responded_by_user") or {}
    done = apply(settings, proposed["texts"], str(user.get("name") or user.get("id") or "somebody"))
    for line in done["by_hand"]:
        _LOG.warning("%s", line)
    return done


def body(proposals: Iterable[Proposal], folder: Path) -> str:
    """The proposals as Markdown, for the person who approves. No name in it can end its code block."""
    parts = []
    for one in proposals:
        where = one.by_hand or f"Approved, it is written to `{one.file_name}`, if {folder} can be written to."
        fence = "`" * max(3, 1 + max(map(len, re.findall(r"`+", one.text)), default=0))
        parts.append(f"### {one.table_name}\n\n{where}\n\n{fence}yaml\n{one.text}{fence}\n")
    text = "\n".join(parts)
    if len(text) > _LONGEST_BODY:
        text = "".join(f"- {one.table_name}: {len(one.why)} paths\n" for one in proposals)[:_LONGEST_BODY]
        text += "\n`python -m dynatrail discover` shows what is proposed in full.\n"
    return f"{text}\nCommitting the text to the repository of the policy is the better way: then reject this.\n"


def apply(settings: Settings, approved: Mapping[str, str], by: str) -> dict[str, list[str]]:
    """Write what was approved.

    Args:
        settings: name the folder of the policy.
        approved: by table, the text that the person saw.
        by: who approved it.

    Returns:
        `written`: names of files; `by_hand`: for each table whose text a person must put into place, why.

    Raises:
        SettingsError: what would be proposed now is something else than what was approved; nothing was written.
    """
    now = {one.table_name: one for one in propose(settings)}
    for name, text in sorted(approved.items()):
        if name not in now or now[name].text != text:
            raise SettingsError(
                f"The policy for {name}, or what was found there, has changed since this was proposed. Nothing was "
                "written. Run discover_sensitive_data again and approve what it proposes then."
            )
    done: dict[str, list[str]] = {"written": [], "by_hand": []}
    for name in sorted(approved):
        refused = now[name].by_hand or _write(settings, now[name], by)
        if refused:
            done["by_hand"].append(f"{name}: {refused}")
        else:
            done["written"].append(now[name].file_name)
    return done


def _proposal(folder: Path, files: list[File], masked: Policy, table_name: str, rows: list[Row]) -> Proposal | None:
    wanted = _wanted(masked, rows)
    if not wanted:
        return None
    changes = {path: _doing(those) for path, those in wanted.items()}
    entry = masked.entry(table_name)
    own = folder / f"proposed-{table_name}.yaml"
    unhidden = [row for those in wanted.values() for row in those]
    why = tuple(_line(masked, row) for row in unhidden)
    by_hand, text = "", ""
    for new_first in (False, True):
        made = _entry(entry, table_name, changes, new_first=new_first)
        text = _text(made, why)
        by_hand = _obstacle(files, own, made, unhidden)
        if not by_hand:
            break
    if not by_hand and own.exists() and not _is_own(own):
        by_hand = f"{own.name} was changed by a person: take this text over into it."
    return Proposal(table_name, why, text, by_hand)


def _wanted(masked: Policy, rows: list[Row]) -> dict[str, list[Row]]:
    """Paths of the policy that do not hide what is there, those for which a person has already decided left out."""
    found: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda one: (one["path"], -(one["confidence"] or 0), one["detected_class"])):
        entry, at = masked.entry(row["table_name"]), policy_path(row)
        rule = entry.deciding(policy.steps(at)) if entry else None
        decided = rule is not None and rule.is_ != "" and policy.steps(rule.path) == policy.steps(at)
        if not decided and protected_by(masked, row)[1] != protection.HIDDEN:
            found.setdefault(at, []).append(row)
    return found


def _doing(rows: list[Row]) -> tuple[str, Doing]:
    """Class and action for one path: the class is the surest, the action the one that hides all of them."""
    doings = [
        protection.best(
            row["detected_class"],
            confidence=row["confidence"],
            in_names=row["in_names"],
            distinct=row["distinct_values"],
            matched=row["matched"],
        )
        for row in rows
    ]
    return max(rows, key=lambda row: row["confidence"] or 0)["detected_class"], protection.strictest(doings)


def _entry(
    entry: TablePolicy | None, table_name: str, changes: Mapping[str, tuple[str, Doing]], *, new_first: bool
) -> TablePolicy:
    """The table's entry with the changes. Of equally long paths the first counts, so those with `*` come last."""
    rules = [
        AttributeRule.model_validate({"path": path, "class": name, "do": doing})
        for path, (name, doing) in sorted(changes.items())
    ]
    changed = {policy.steps(path) for path in changes}
    kept = [rule for rule in (entry.attributes if entry else ()) if policy.steps(rule.path) not in changed]
    exact = [rule for rule in rules if ANY not in policy.steps(rule.path)]
    any_name = [rule for rule in rules if rule not in exact]
    ordered = [*exact, *any_name, *kept] if new_first else [*exact, *kept, *any_name]
    base = entry or TablePolicy(match=table_name)
    return base.model_copy(update={"match": table_name, "attributes": tuple(ordered)})


def _obstacle(files: list[File], own: Path, made: TablePolicy, rows: list[Row]) -> str:
    """Why the entry cannot stand in a file of its own, and where it belongs; empty: it can, and hides the values."""
    others = [(path, file) for path, file in files if path.name != own.name]
    tried = sorted([*others, (own, PolicyFile(version=1, tables=(made,)))], key=lambda one: one[0])
    try:
        would = policy.joined(tried)
    except SettingsError:
        would = None
    if would is not None and all(protected_by(would, row)[1] == protection.HIDDEN for row in rows):
        return ""
    for path, file in others:
        for table in file.tables:
            if fnmatchcase(made.match, table.match):
                place = "in the place of" if table.match == made.match else "before"
                return f"Put this entry into {path.name} by hand, {place} the entry {table.match!r}."
    return "Put this entry into the policy by hand: with the other files it would not do what it says."


def _text(made: TablePolicy, why: Iterable[str]) -> str:
    told = made.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    content = yaml.safe_dump(
        {"version": 1, "tables": [told]}, sort_keys=False, allow_unicode=False, width=110, default_flow_style=False
    )
    return "".join(f"# {line}\n" for line in why) + content


def _line(masked: Policy, row: Row) -> str:
    """Of a path only what is printable ASCII, so that no name ends the comment or misleads its reader."""
    path = json.dumps(row["path"])[1:-1]
    sure = row["confidence"] or 0
    doubt = "" if sure >= protection.SURE else " Unsure: say which it is, or name another class."
    action = protected_by(masked, row)[0]
    names = "names of members, " if row["in_names"] else ""
    return (
        f"{path}: {row['detected_class']} ({names}{row['status']}, confidence {sure:.2f}, {row['matched']} of "
        f"{row['sampled']} values, {row['region']}); {action} so far.{doubt}"
    )


def _write(settings: Settings, one: Proposal, by: str) -> str:
    """Write a proposal's file whole or not at all; why it was not written, or nothing."""
    folder = settings.masking_folder
    path = folder / one.file_name
    if not os.access(folder, os.W_OK):
        return f"{folder} cannot be written to. Commit the text of the proposal as {one.file_name}."
    if os.path.lexists(path) and not _is_own(path):
        return f"{path.name} was changed by a person and is left alone. Take the proposal over into it."
    content = f"# Approved by {_harmless(by)}.\n{one.text}"
    marked = f"{_MARK}{hashlib.sha256(content.encode()).hexdigest()}\n{content}"
    try:
        with tempfile.NamedTemporaryFile("w", dir=folder, prefix=".proposed-", delete=False, encoding="utf-8") as file:
            file.write(marked)
        before = path.read_bytes() if path.exists() else None
        Path(file.name).replace(path)
    except OSError as error:
        return f"{path} cannot be written ({error.strerror}). Commit the text of the proposal as {one.file_name}."
    try:
        policy.load(settings)
    except SettingsError:  # somebody changed another file at the same time: the policy must stay whole
        path.unlink() if before is None else path.write_bytes(before)
        raise
    return ""


def _is_own(path: Path) -> bool:
    """Whether a file is as `_write` left it."""
    if path.is_symlink() or not path.is_file():
        return False
    first, _, rest = path.read_text(encoding="utf-8", errors="replace").partition("\n")
    return first == f"{_MARK}{hashlib.sha256(rest.encode()).hexdigest()}"


def _harmless(name: str) -> str:
    return json.dumps(name)[1:-1][:200]


def as_document(one: Proposal) -> dict[str, Any]:
    """A proposal as JSON has it."""
    return {"table_name": one.table_name, "why": list(one.why), "text": one.text, "by_hand": one.by_hand}
