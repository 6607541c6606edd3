"""What outside issuers hand to people and programs that take a role."""

import base64
import json
from collections.abc import Mapping
from typing import Any


def saml_assertion(email: str) -> str:
    """What an identity provider would post; its signature is not checked here."""
    document = (
        '<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol"><saml:Assertion '
        'xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion"><saml:Issuer>https://idp.example.com/saml</saml:Issuer>'
        f"<saml:Subject><saml:NameID>{email}</saml:NameID></saml:Subject><saml:AttributeStatement>"
        '<saml:Attribute Name="https://aws.amazon.com/SAML/Attributes/RoleSessionName">'
        f"<saml:AttributeValue>{email}</saml:AttributeValue></saml:Attribute></saml:AttributeStatement>"
        "</saml:Assertion></samlp:Response>"
    )
    return base64.b64encode(document.encode()).decode()


def web_identity_token(claims: Mapping[str, Any]) -> str:
    """What an outside issuer would sign; this signature is none."""

    def part(value: Mapping[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'RS256', 'typ': 'JWT'})}.{part(claims)}.c2lnbmF0dXJl"
