"""Checks: what is signed by WS-Security is taken, and what was tampered with is refused by its own name.

They ask for the centre's own contract, which its certificate alone opens, so that nothing is written. The
clerk's token is tried where his secret for SOAP was given.
"""

import copy
import secrets
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from integrations.centres.conformance.checking import Check, Failed, LeftOut
from integrations.centres.conformance.envelopes import (
    BODY,
    SHA_1,
    TIME,
    VERSIONS,
    Signing,
    signed,
    written,
)
from integrations.centres.conformance.messages import http_headers, post, read
from integrations.centres.conformance.reach import CLOCKS, REACHED
from integrations.centres.conformance.refusing import (
    EXPIRED,
    FAILED_CHECK,
    INVALID,
    NOT_PROVEN,
    PAYLOAD,
    READ,
    UNSUPPORTED,
    UNSUPPORTED_TOKEN,
    Refusal,
    answered,
    each_refused,
    refused,
    signed_refused,
)
from integrations.centres.conformance.talking import Server
from integrations.contracts.binding import request_text
from integrations.contracts.names import by_id
from integrations.soap_client.signing import SigningKey
from integrations.ws_security import names

SIGNED = "A message that the centre signs is answered"
CLERKS = "A message that the clerk's token comes with is answered"
NO_SECRET = "Give --clerk and --clerk-secret-file: the clerk's secret for SOAP."

_SECURITY = "SOAP Message Security 1.1.1"
_SIGNATURE = "XML Signature 1.1; docs/centres.md"
_PLACE = "WS-I Basic Security Profile 1.1"
_USERNAME = "UsernameToken Profile 1.1.1"
_OURS = "Is the certificate the last one, the clock right, and the centre active?"
_WRONG_SECRET = "Is the secret the clerk's last one, and the clerk active?"


def _signed(server: Server) -> None:
    _taken(server, Signing(), _OURS)


def _with_clerk(server: Server) -> None:
    _taken(server, _clerk(server), _WRONG_SECRET)


def _taken(server: Server, how: Signing, remedy: str) -> None:
    for title, soap in VERSIONS.items():
        octets = written(signed(server, PAYLOAD, soap, how))
        said = answered(
            read(post(server, octets, http_headers(soap, READ)), soap), READ.response, title, remedy
        )
        if said.json.get("code") != server.credentials.centre:
            raise Failed(f"The server takes this centre for {said.json.get('code')!r}.", _OURS)


def _clerk(server: Server) -> Signing:
    if server.credentials.soap_clerk is None:
        raise LeftOut(NO_SECRET)
    return Signing(clerk=True)


def _language(server: Server) -> None:
    for title, soap in VERSIONS.items():
        for language, letters in (("ar", range(0x600, 0x700)), ("en", range(0x41, 0x7B))):
            message = signed(server, PAYLOAD, soap, Signing(moved=timedelta(seconds=-600)))
            said = read(post(server, written(message), http_headers(soap, READ, language)), soap)
            refused(said, EXPIRED, title)
            sentence = said.sentences.get(language, "")
            if not any(ord(each) in letters for each in sentence):
                raise Failed(
                    f"{title}: asked for in {language}, the fault's sentence is in {list(said.sentences)}.",
                    "Tell the municipality; this is the server's fault.",
                )


def _changed_body(server: Server) -> None:
    def change(message: etree._Element) -> None:
        message[1][0].set("changed", "1")

    signed_refused(server, FAILED_CHECK, then=change)


def _uncovered(part: str, server: Server) -> None:
    signed_refused(server, FAILED_CHECK, Signing(covers=frozenset({BODY, TIME}) - {part}))


def _no_timestamp(server: Server) -> None:
    def remove(message: etree._Element) -> None:
        security = message[0][0]
        security.remove(_one(security, names.TIMESTAMP))

    signed_refused(server, INVALID, then=remove)


def _moved(seconds: int, server: Server) -> None:
    signed_refused(server, EXPIRED, Signing(moved=timedelta(seconds=seconds)))


def _replayed(server: Server) -> None:
    for title, soap in VERSIONS.items():
        octets, headers = written(signed(server, PAYLOAD, soap)), http_headers(soap, READ)
        answered(read(post(server, octets, headers), soap), READ.response, title, _OURS)
        refused(read(post(server, octets, headers), soap), INVALID, title)


def _wrapped(server: Server) -> None:
    # The signed Body goes where nobody executes it, and another one stands in its place.
    def wrap(message: etree._Element) -> None:
        body = message[1]
        forged = copy.deepcopy(body)
        del forged.attrib[names.WSU_ID]
        message.replace(body, forged)
        etree.SubElement(message[0], "{urn:example:wrapper}Wrapper").append(body)

    _never_answered(server, wrap)


def _same_id(server: Server) -> None:
    def double(message: etree._Element) -> None:
        body = message[1]
        message.replace(body, copy.deepcopy(body))
        etree.SubElement(message[0], "{urn:example:wrapper}Wrapper").append(body)

    _never_answered(server, double)


def _moved_timestamp(server: Server) -> None:
    def move(message: etree._Element) -> None:
        security = message[0][0]
        signed_one = _one(security, names.TIMESTAMP)
        fresh = copy.deepcopy(signed_one)
        del fresh.attrib[names.WSU_ID]
        security.replace(signed_one, fresh)
        etree.SubElement(message[0], "{urn:example:wrapper}Wrapper").append(signed_one)

    _never_answered(server, move)


def _never_answered(server: Server, then: Callable[[etree._Element], None]) -> None:
    """Hold a message whose signed parts were moved to be refused as one that is not signed rightly."""

    def make(soap: str) -> tuple[bytes, dict[str, str]]:
        message = signed(server, PAYLOAD, soap)
        then(message)
        return written(message), http_headers(soap, READ)

    # The standard leaves open by which of two names: the signature, or what is built around it.
    for title, soap in VERSIONS.items():
        said = read(post(server, *make(soap)), soap)
        refused(said, INVALID if said.code == INVALID.code else FAILED_CHECK, title)


def _two_headers(server: Server) -> None:
    def double(message: etree._Element) -> None:
        message[0].append(copy.deepcopy(message[0][0]))

    signed_refused(server, INVALID, then=double)


def _another_key(server: Server) -> None:
    stranger = ec.generate_private_key(ec.SECP256R1())
    own = server.credentials.by_xml
    if isinstance(own.key, ec.EllipticCurvePrivateKey):
        signed_refused(server, FAILED_CHECK, Signing(key=SigningKey(stranger, own.certificate)))
        return

    # An RSA certificate and another signature: one octet of it is changed.
    def forge(message: etree._Element) -> None:
        (value,) = message[0].iter(f"{{{names.DS}}}SignatureValue")
        text = value.text or ""
        value.text = ("B" if text[0] == "A" else "A") + text[1:]

    signed_refused(server, FAILED_CHECK, then=forge)


def _unknown_certificate(server: Server) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, server.credentials.centre)])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(server.now() - timedelta(days=1))
        .not_valid_after(server.now() + timedelta(days=30))
        .sign(key, SHA256())
    )
    signed_refused(server, NOT_PROVEN, Signing(key=SigningKey(key, made.public_bytes(Encoding.DER))))


def _weak_digest(server: Server) -> None:
    signed_refused(server, UNSUPPORTED, Signing(digest=SHA_1))


def _unknown_field(server: Server) -> None:
    payload = PAYLOAD.replace(f"</{READ.name}>", f"<roles>administrator</roles></{READ.name}>")
    signed_refused(server, Refusal("invalid-input", "InvalidInput"), payload=payload)


def _wrong_secret(server: Server) -> None:
    _clerk(server)
    signed_refused(server, NOT_PROVEN, Signing(clerk=True, secret=secrets.token_hex(16)))


def _unknown_clerk(server: Server) -> None:
    _clerk(server)
    name = f"nobody-{secrets.token_hex(4)}@{server.credentials.centre}"
    signed_refused(server, NOT_PROVEN, Signing(clerk=True, username=name))


def _another_centres_clerk(server: Server) -> None:
    known = server.credentials.soap_clerk
    _clerk(server)
    assert known is not None
    signed_refused(server, NOT_PROVEN, Signing(clerk=True, username=f"{known.id}@another-centre"))


def _plain_password(server: Server) -> None:
    _clerk(server)
    signed_refused(server, UNSUPPORTED_TOKEN, Signing(clerk=True, plain=True))


def _same_nonce(server: Server) -> None:
    _clerk(server)
    for title, soap in VERSIONS.items():
        how, headers = Signing(clerk=True, nonce=secrets.token_bytes(16)), http_headers(soap, READ)
        first, second = (written(signed(server, PAYLOAD, soap, how)) for _ in range(2))
        answered(read(post(server, first, headers), soap), READ.response, title, _WRONG_SECRET)
        refused(read(post(server, second, headers), soap), INVALID, title)


def _unsigned_device(server: Server) -> None:
    how = _clerk(server)
    device = server.credentials.device
    if device is None:
        raise LeftOut("Give --device: the code of a device.")
    signed_refused(server, NOT_PROVEN, Signing(clerk=how.clerk, covers=frozenset({BODY, TIME})))


def _write_without_clerk(server: Server) -> None:
    operation = by_id()["submit"]
    payload = request_text(
        operation,
        {"idempotencyKey": secrets.token_hex(16)},
        b'{"service": "none", "form": {}}',
    )
    each_refused(
        server,
        lambda soap: (written(signed(server, payload, soap)), http_headers(soap, operation)),
        Refusal("proof-missing", "PermissionDenied"),
    )


def _one(parent: etree._Element, tag: str) -> etree._Element:
    found = parent.find(tag)
    assert found is not None, tag
    return found


_BY_CENTRE: Sequence[Check] = (
    Check("A fault is told in the language that is asked for", "RFC 9110, section 12.5.4", _language),
    Check("A Body that was changed is refused", _SIGNATURE, _changed_body),
    Check("A Body that the signature does not cover is refused", _SECURITY, partial(_uncovered, BODY)),
    Check("A Timestamp that it does not cover is refused", _SECURITY, partial(_uncovered, TIME)),
    Check("A message without a Timestamp is refused", _PLACE, _no_timestamp),
    Check("A Timestamp of ten minutes ago is refused", f"{_SECURITY}, section 10", partial(_moved, -600)),
    Check("A Timestamp from the future is refused", f"{_SECURITY}, section 10", partial(_moved, 180)),
    Check("A message is taken once", f"{_SECURITY}, section 13", _replayed),
    Check("A signed Body that was moved is refused", _PLACE, _wrapped),
    Check("A signed Body that stands there twice is refused", _PLACE, _same_id),
    Check("A signed Timestamp that was moved is refused", _PLACE, _moved_timestamp),
    Check("Two Security headers are refused", f"{_SECURITY}, section 5", _two_headers),
    Check("A signature by another key is refused", _SIGNATURE, _another_key),
    Check(
        "A certificate that was not issued here is refused by SOAP",
        "X.509 Profile 1.1.1",
        _unknown_certificate,
    ),
    Check("A digest by SHA-1 is refused", _SIGNATURE, _weak_digest),
    Check("An element that the schema does not have is refused", "licensing.xsd", _unknown_field),
    Check("A write without the clerk's token is refused", "docs/centres.md, Refusals", _write_without_clerk),
)
_BY_CLERK: Sequence[Check] = (
    Check("A clerk's wrong secret is refused", _USERNAME, _wrong_secret),
    Check("A clerk whom nobody knows is refused", _USERNAME, _unknown_clerk),
    Check("A clerk of another centre is refused", _USERNAME, _another_centres_clerk),
    Check("A password that is no digest is refused", _USERNAME, _plain_password),
    Check("A token's nonce is taken once", f"{_USERNAME}, section 3.1", _same_nonce),
    Check("A device that the signature does not cover is refused", "docs/centres.md", _unsigned_device),
)

CHECKS: Sequence[Check] = (
    Check(SIGNED, _SECURITY, _signed, (REACHED, CLOCKS)),
    *(each.after(SIGNED) for each in _BY_CENTRE),
    Check(CLERKS, _USERNAME, _with_clerk, (SIGNED,)),
    *(each.after(CLERKS) for each in _BY_CLERK),
)
