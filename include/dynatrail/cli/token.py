"""`token`: from an item's key in clear to what the trail calls it."""

import getpass
from collections.abc import Iterable

from dynatrail.errors import SettingsError
from dynatrail.privacy.tokens import Tokenizer, canonical_number, load_key
from dynatrail.settings import settings


def of_key(key: Iterable[str], numbers: frozenset[str]) -> str:
    """The token of a key given as NAME=VALUE; a value of `-` is asked for, so that no shell history keeps it.

    Raises:
        SettingsError: a part is not NAME=VALUE, or `numbers` names an attribute that the key has not.
    """
    pairs = {}
    for part in key:
        name, equals, value = part.partition("=")
        if not name or not equals:
            raise SettingsError("Give each key attribute as NAME=VALUE, for instance patient_id=- to be asked for it.")
        text = getpass.getpass(f"{name}: ") if value == "-" else value
        pairs[name] = canonical_number(text) if name in numbers else text
    if unknown := numbers - pairs.keys():
        raise SettingsError(f"--number names {', '.join(sorted(unknown))}, which is not part of the key given.")
    return Tokenizer(load_key(settings())).item(pairs.items())
