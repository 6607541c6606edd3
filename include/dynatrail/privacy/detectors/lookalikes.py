"""Numbers of things whose check digits are those of people's numbers: they take their values, and nobody reports them.

Where only the arithmetic is known, they share the odds with their doubles; where the attribute's name speaks for one of
them, it wins.
"""

from stdnum import isbn

from dynatrail.privacy.detectors.arithmetic import luhn, weighted
from dynatrail.privacy.detectors.base import Detector

FAMILY = "harmless"

DETECTORS: tuple[Detector, ...] = (
    # ISBN-10 has the checksum of NHS numbers, with an X for ten.
    Detector("isbn", FAMILY, "[0-9]{9}[0-9Xx]", "words", check=isbn.is_valid, chance=0.09),
    Detector("siren", FAMILY, "[1-9][0-9]{8}|[1-9][0-9]{2} [0-9]{3} [0-9]{3}", "digits", quick=luhn(9), chance=0.1),
    Detector("siret", FAMILY, "[1-9][0-9]{13}", "digits", quick=luhn(14), chance=0.1),
    Detector("imei", FAMILY, "[0-9]{15}", "digits", quick=luhn(15), chance=0.1),
    Detector("iccid", FAMILY, "89[0-9]{17,18}", "digits", quick=luhn(20), chance=0.1, rarity=30),
    Detector("ean", FAMILY, "[0-9]{13}", "digits", quick=weighted((1, 3) * 6 + (1,), 10), chance=0.1),
)
