"""Keys and passwords, most by prefixes that their makers gave them to be found by."""

import base64
import json
import re

from dynatrail.privacy.detectors.base import Detector

FAMILY = "secret"

_ISSUED = 1e6
"""A prefix that nothing else has."""

_TOKENS = "|".join(  # noqa: FLY002  one maker a line, with its name
    (
        "gh[pousr]_[0-9A-Za-z]{36,}|github_pat_[0-9A-Za-z_]{50,}",  # GitHub
        "glpat-[0-9A-Za-z_.-]{20,}",  # GitLab
        "xox[abeoprs]-[0-9A-Za-z-]{10,}|xapp-[0-9]-[0-9A-Za-z-]{20,}",  # Slack
        "https://hooks[.]slack[.]com/services/[0-9A-Za-z/]{20,100}",
        "(?:sk|rk)_(?:live|test)_[0-9A-Za-z]{16,}|whsec_[0-9A-Za-z+/=]{24,100}",  # Stripe
        "AIza[0-9A-Za-z_-]{35}|ya29[.][0-9A-Za-z_-]{20,}|GOCSPX-[0-9A-Za-z_-]{28}",  # Google
        "SG[.][0-9A-Za-z_-]{22}[.][0-9A-Za-z_-]{43}",  # SendGrid
        "npm_[0-9A-Za-z]{36}|pypi-AgE[0-9A-Za-z_-]{50,}",
        "sk-(?:proj-|ant-)?[0-9A-Za-z_-]{32,}|hf_[0-9A-Za-z]{34}",
        "dop_v1_[0-9a-f]{64}|shp(?:at|ca|pa|ss)_[0-9a-f]{32}",
        "EAA[0-9A-Za-z]{60,}",  # Meta
    )
)
_JWT = "eyJ[0-9A-Za-z_-]{8,}[.]eyJ[0-9A-Za-z_-]+[.][0-9A-Za-z_-]{0,}"
_CREDENTIALS_IN_URL = "[A-Za-z][0-9A-Za-z+.-]{1,20}://[^\\s:/@]{1,100}:[^\\s/@]{1,}@[^\\s]{1,}"
_SETTING = (
    "(?i:password|passwd|pwd|secret|accountkey|sharedaccesskey|api_?key)[\"']? ?[=:] ?[\"']?[^\\s;,\"']{4,}[\"']?"
)
_HASH = (
    "[$](?:2[abxy][$][0-9]{2}[$][./0-9A-Za-z]{53}|argon2(?:id|i|d)[$][^\\s]{20,}|6[$][^\\s]{80,}|scrypt[$][^\\s]{20,})"
)
_PRIVATE = "-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----"

_MOST_ALIKE = 0.15
"""Share of the commonest character above which a text is no random one."""


def is_random(text: str) -> bool:
    """Whether the characters look drawn by lot: letters of both cases and digits, none too often."""
    kinds = bool(re.search("[a-z]", text)) + bool(re.search("[A-Z]", text)) + bool(re.search("[0-9]", text))
    most = max(text.count(character) for character in set(text))
    return kinds == 3 and most / len(text) <= _MOST_ALIKE  # noqa: PLR2004


def _no_date(text: str) -> bool:
    return not re.match(r"(?:\d{4}-\d\d-\d\d|1[5-9]\d{8}(?:\d{3})?$|(?i:true|false|none|null|yes|no)$)", text)


def _has_header(text: str) -> bool:
    head = text.split(".", 1)[0]
    return "alg" in json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))


DETECTORS: tuple[Detector, ...] = (
    Detector("aws_access_key", FAMILY, "(?:AKIA|ASIA)[A-Z2-7]{16}", rarity=_ISSUED, inside=True),
    Detector("aws_secret_key", FAMILY, "[0-9A-Za-z/+]{40}", check=is_random, needs_name=True, rarity=100),
    Detector("private_key", FAMILY, f"(?s:.{{0,}}{_PRIVATE}.*)", rarity=_ISSUED),
    Detector("jwt", FAMILY, _JWT, check=_has_header, rarity=_ISSUED, inside=True),
    Detector("api_token", FAMILY, _TOKENS, rarity=_ISSUED, inside=True),
    Detector("bearer_token", FAMILY, "(?i:bearer) {1,3}[0-9A-Za-z._~+/-]{16,}={0,2}", rarity=_ISSUED, inside=True),
    Detector("connection_password", FAMILY, _CREDENTIALS_IN_URL, rarity=_ISSUED, inside=True),
    Detector("connection_password", FAMILY, _SETTING, rarity=1e4, inside=True),
    Detector("password_hash", FAMILY, _HASH, rarity=_ISSUED),
    Detector("password", FAMILY, r"\S{4,100}", check=_no_date, needs_name=True, rarity=3),
    Detector("secret", FAMILY, "[0-9A-Za-z_+/.=-]{16,}", check=is_random, needs_name=True, rarity=30),
)
