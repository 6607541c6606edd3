"""`token`: from an item's key in clear to what the trail calls it."""

import getpass
from collections.abc import Iterable

from dynatrail.errors import SettingsError
from dynatrail.privacy.tokens import Tokenizer, load_key, stored_number
from dynatrail.settings import settings


def of_key(key: Iterable[str], numbers: frozenset[str]) -> str:
    """The token of a key given as NAME=VALUE.

    Raises:
        SettingsError: as `pairs`.
    """
    return Tokenizer(load_key(settings())).item(pairs(key, numbers).items())


def pairs(key: Iterable[str], numbers: frozenset[str]) -> dict[str, str]:
    """Attribute and text of a key given as NAME=VALUE; a value of `-` is asked for, so that no shell history keeps it.

    Raises:
        SettingsError: a part is not NAME=VALUE, a value is empty, or is no number although `numbers` names it; or
            `numbers` names an attribute that the key has not.
    """
    found = {}
    for part in key:
        name, equals, value = part.partition("=")
        if not name or not equals:
            raise SettingsError("Give each key attribute as NAME=VALUE, for instance patient_id=- to be asked for it.")
        text = getpass.getpass(f"{name}: ") if value == "-" else value
        if not text:
            raise SettingsError(
                f"The value of {name} is empty, which DynamoDB allows in no key. Write {name}=VALUE, or {name}=- to be "
                "asked for it."
            )
        found[name] = _number(name, text) if name in numbers else text
    if unknown := numbers - found.keys():
        raise SettingsError(f"--number names {', '.join(sorted(unknown))}, which is not part of the key given.")
    return found


def _number(name: str, text: str) -> str:
    stored = stored_number(text)
    if stored is None:  # the value is not said: it may be a person's, and errors are kept
        raise SettingsError(
            f"The value of {name} is not a number that DynamoDB can hold. Write its digits, for instance {name}=1042, "
            f"or leave out --number {name} where the attribute is text."
        )
    return stored
