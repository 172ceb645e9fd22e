"""Messages by SOAP 1.1 and 1.2 as a centre and its clerk sign them, and with one thing wrong on purpose.

A message is a tree: who changes it after it was signed has tampered with it.

Source: OASIS SOAP Message Security 1.1.1; UsernameToken and X.509 Certificate Token Profiles 1.1.1.
"""

import base64
import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from lxml import etree

from integrations.centres.conformance.talking import Credentials, Server
from integrations.soap_client.signing import SigningKey
from integrations.ws_security import names
from integrations.ws_security.canonical import octets

SOAP_11, SOAP_12 = names.SOAP_11, names.SOAP_12
VERSIONS = {"SOAP 1.1": SOAP_11, "SOAP 1.2": SOAP_12}
SHA_256 = "http://www.w3.org/2001/04/xmlenc#sha256"
SHA_1 = f"{names.DS}sha1"
BODY, TIME, CLERK = "body", "time", "clerk"

_HOLDS = timedelta(seconds=300)
_TOKEN = "token"
_HASHES = {SHA_256: hashlib.sha256, SHA_1: hashlib.sha1}
_PREFIXES = {"wsse": names.WSSE, "wsu": names.WSU, "ds": names.DS}


@dataclass(frozen=True)
class Signing:
    """How a message is signed; what is not said is right.

    Args:
        clerk: whether the clerk's token comes along.
        covers: what the signature is over; a clerk's token is where it comes along.
        moved: how far from now the message says it was made.
        key: signs; None is the centre's.
        shown: certificate that comes along, DER; None is the centre's.
        digest: identifier of the algorithm of the references.
        username, secret, nonce: of the clerk's token, other than his own.
        plain: whether the token holds the secret itself, which here is none.
    """

    clerk: bool = False
    covers: frozenset[str] = frozenset({BODY, TIME, CLERK})
    moved: timedelta = timedelta(0)
    key: SigningKey | None = None
    shown: bytes | None = None
    digest: str = SHA_256
    username: str | None = None
    secret: str | None = None
    nonce: bytes | None = None
    plain: bool = False


RIGHT = Signing()


def bare(payload: str, soap: str = SOAP_11) -> etree._Element:
    """A message with a payload and no security.

    Args:
        payload: the element in the Body.
        soap: namespace of the envelope.
    """
    return etree.fromstring(
        f'<soap:Envelope xmlns:soap="{soap}"><soap:Header/><soap:Body>{payload}</soap:Body></soap:Envelope>'
    )


def signed(server: Server, payload: str, soap: str = SOAP_11, how: Signing = RIGHT) -> etree._Element:
    """A signed message.

    Args:
        payload: the element in the Body.
        soap: namespace of the envelope.
    """
    known = server.credentials
    key = how.key or known.by_xml
    message = bare(payload, soap)
    body = message[1]
    security = etree.SubElement(message[0], names.SECURITY, nsmap=_PREFIXES)
    security.set(f"{{{soap}}}mustUnderstand", "1")
    body.set(names.WSU_ID, BODY)
    _certificate(security, how.shown or key.certificate)
    at = server.now() + how.moved
    parts = {BODY: body, TIME: _timestamp(security, at)}
    if how.clerk:
        parts[CLERK] = _username_token(security, known, how, at)
    covered = {name: part for name, part in parts.items() if name in how.covers}
    _add_signature(security, key, covered, how.digest)
    return message


def username(known: Credentials) -> str:
    """What the clerk's token names him: with his device, which the signature vouches for."""
    assert known.soap_clerk is not None, "a check that needs him is left out without him"
    device = f"/{known.device}" if known.device else ""
    return f"{known.soap_clerk.id}@{known.centre}{device}"


def written(message: etree._Element) -> bytes:
    """A message as it is sent."""
    return etree.tostring(message, encoding="UTF-8", xml_declaration=True)


def _certificate(security: etree._Element, der: bytes) -> None:
    token = etree.SubElement(security, names.BINARY_TOKEN)
    token.set(names.WSU_ID, _TOKEN)
    token.set("ValueType", names.X509_V3)
    token.set("EncodingType", names.BASE64)
    token.text = base64.b64encode(der).decode()


def _timestamp(security: etree._Element, at: datetime) -> etree._Element:
    element = etree.SubElement(security, names.TIMESTAMP)
    element.set(names.WSU_ID, TIME)
    for name, moment in (("Created", at), ("Expires", at + _HOLDS)):
        etree.SubElement(element, f"{{{names.WSU}}}{name}").text = _moment(moment)
    return element


def _username_token(
    security: etree._Element, known: Credentials, how: Signing, at: datetime
) -> etree._Element:
    assert known.soap_clerk is not None
    nonce, created = how.nonce or secrets.token_bytes(16), _moment(at)
    secret = how.secret or known.soap_clerk.secret.reveal()
    digest = hashlib.sha1(nonce + created.encode() + secret.encode(), usedforsecurity=False).digest()
    element = etree.SubElement(security, names.USERNAME_TOKEN)
    element.set(names.WSU_ID, CLERK)
    etree.SubElement(element, f"{{{names.WSSE}}}Username").text = how.username or username(known)
    password = etree.SubElement(element, f"{{{names.WSSE}}}Password")
    kind = names.PASSWORD_DIGEST
    password.set("Type", kind.replace("PasswordDigest", "PasswordText") if how.plain else kind)
    # Not even on purpose is the secret itself sent.
    password.text = "not-the-secret" if how.plain else base64.b64encode(digest).decode()
    held = etree.SubElement(element, f"{{{names.WSSE}}}Nonce")
    held.set("EncodingType", names.BASE64)
    held.text = base64.b64encode(nonce).decode()
    etree.SubElement(element, f"{{{names.WSU}}}Created").text = created
    return element


def _add_signature(
    security: etree._Element, key: SigningKey, covered: dict[str, etree._Element], digest: str
) -> None:
    signature = _child(security, "Signature")
    info = _child(signature, "SignedInfo")
    _child(info, "CanonicalizationMethod", Algorithm=names.EXCLUSIVE)
    _child(info, "SignatureMethod", Algorithm=key.algorithm)
    for name, element in covered.items():
        reference = _child(info, "Reference", URI=f"#{name}")
        _child(_child(reference, "Transforms"), "Transform", Algorithm=names.EXCLUSIVE)
        _child(reference, "DigestMethod", Algorithm=digest)
        made = _HASHES[digest](octets(element)).digest()
        _child(reference, "DigestValue").text = base64.b64encode(made).decode()
    value = _child(signature, "SignatureValue")
    named = etree.SubElement(_child(signature, "KeyInfo"), names.TOKEN_REFERENCE)
    direct = etree.SubElement(named, f"{{{names.WSSE}}}Reference")
    direct.set("URI", f"#{_TOKEN}")
    direct.set("ValueType", names.X509_V3)
    # Last: its canonical octets depend on where it stands.
    value.text = base64.b64encode(key.sign(octets(info))).decode()


def _child(parent: etree._Element, name: str, **attributes: str) -> etree._Element:
    return etree.SubElement(parent, f"{{{names.DS}}}{name}", attributes)


def _moment(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
