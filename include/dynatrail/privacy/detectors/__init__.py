"""What a sensitive value looks like: one detector a form, all of them data and vectorised arithmetic."""

from dynatrail.privacy.detectors import contact, lookalikes, national, payment, people, secrets
from dynatrail.privacy.detectors.base import Detector

BUILT_IN: tuple[Detector, ...] = (
    payment.DETECTORS
    + national.DETECTORS
    + contact.DETECTORS
    + secrets.DETECTORS
    + people.DETECTORS
    + lookalikes.DETECTORS
)
"""Every form of every class that needs no file."""
