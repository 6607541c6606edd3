"""Payment cards and bank accounts."""

import re
from functools import cache

from stdnum import numdb

from dynatrail.privacy.detectors.arithmetic import luhn, mod_97
from dynatrail.privacy.detectors.base import Detector

FAMILY = "payment"

# Issuer identification numbers and lengths, as the networks publish them: Visa, Mastercard, American Express, Discover
# and UnionPay, JCB, Diners, Maestro. Thirteen digits are left out: Visa gave them up, and millisecond times have them.
_SIXTEEN = (
    "(?:4[0-9]{3}|5[1-5][0-9]{2}|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720"
    "|6011|64[4-9][0-9]|65[0-9]{2}|62[0-9]{2}|352[89]|35[3-8][0-9]|3[0689][0-9]{2}|50[0-9]{2}|5[6-9][0-9]{2}|6[37][0-9]{2})"
)
_FIFTEEN = "3[47][0-9]{2}"
_FOURTEEN = "3[0689][0-9]{2}"
_OTHER_LENGTHS = "(?:4[0-9]{18}|62[0-9]{15,17}|(?:50|5[6-9]|6[37])[0-9]{15,17})"

_CARD = f"(?:{_SIXTEEN}[0-9]{{12}}|{_FIFTEEN}[0-9]{{11}}|{_FOURTEEN}[0-9]{{10}}|{_OTHER_LENGTHS})"
_GROUPED_CARD = (
    "(?:"
    + "|".join(
        rf"{_SIXTEEN}{by}[0-9]{{4}}{by}[0-9]{{4}}{by}[0-9]{{4}}|{_FIFTEEN}{by}[0-9]{{6}}{by}[0-9]{{5}}|{_FOURTEEN}{by}[0-9]{{6}}{by}[0-9]{{4}}"
        for by in ("[ ]", "-")
    )
    + ")"
)

_KINDS = {"n": "[0-9]", "a": "[A-Za-z]", "c": "[0-9A-Za-z]"}
# Countries of ISO 3166 in the places of a BIC; the others' letters make words such as DELIVERY.
_BIC = "[A-Z]{4}[A-Z]{2}[0-9A-Z]{2}(?:[0-9A-Z]{3})?"


@cache
def _ibans() -> str:
    """Every country's form, by SWIFT's IBAN registry as python-stdnum has it; grouped by four or not at all."""
    forms, grouped = [], []
    for _, country, _, entry, _ in numdb.get("iban").prefixes:
        parts = re.findall(r"([0-9]+)!?([nac])", str(entry["bban"]))
        forms.append(f"{country}[0-9]{{2}}" + "".join(f"{_KINDS[kind]}{{{count}}}" for count, kind in parts))
        rest = sum(int(count) for count, _ in parts)
        groups = "(?: [0-9A-Za-z]{4})" + f"{{{rest // 4}}}" + (f" [0-9A-Za-z]{{{rest % 4}}}" if rest % 4 else "")
        grouped.append(f"{country}[0-9]{{2}}{groups}")
    return "(?i:" + "|".join(forms + grouped) + ")"


DETECTORS: tuple[Detector, ...] = (
    Detector("payment_card", FAMILY, _CARD, "digits", quick=luhn(19), chance=0.1, rarity=3, inside=True),
    Detector("payment_card", FAMILY, _GROUPED_CARD, "digits", quick=luhn(19), chance=0.1, rarity=100, inside=True),
    Detector("iban", FAMILY, _ibans(), "words", quick=mod_97, chance=0.0103, rarity=100, inside=True),
    Detector("bic", FAMILY, _BIC, "words", needs_name=True, rarity=10),
)
