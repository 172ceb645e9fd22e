"""Messages of the simulated identity source: written as text, signed and verified by lxml alone.

Nothing of the driver's code is used: what both sides get wrong in the same way would never be seen.
"""

import base64
import datetime as dates
import hashlib
from dataclasses import dataclass
from html import escape
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from lxml import etree

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
NAMESPACE = "urn:rakeeza:identity:1"

_WSS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss"
_NS = {
    "s": SOAP,
    "wsse": f"{_WSS}-wssecurity-secext-1.0.xsd",
    "wsu": f"{_WSS}-wssecurity-utility-1.0.xsd",
    "ds": "http://www.w3.org/2000/09/xmldsig#",
    "i": NAMESPACE,
}
_ID = f"{{{_NS['wsu']}}}Id"
_EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
_MORE = "http://www.w3.org/2001/04/xmldsig-more#"
_SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
_X509 = f"{_WSS}-x509-token-profile-1.0#X509v3"
_BASE64 = f"{_WSS}-soap-message-security-1.0#Base64Binary"
_DAY = dates.timedelta(days=1)


@dataclass(frozen=True)
class Signer:
    """A key and its certificate.

    Args:
        now: what it takes for the present moment; None is the machine's.
    """

    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    certificate: x509.Certificate
    now: dates.datetime | None = None

    @property
    def pem(self) -> bytes:
        """The certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The key and then the certificate."""
        key = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return key + self.pem


def make_signer(name: str, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | None = None) -> Signer:
    """A signer with a certificate of its own making, of a new P-256 key if none is given."""
    own = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = dates.datetime.now(dates.UTC)
    builder = x509.CertificateBuilder(subject, subject, own.public_key(), x509.random_serial_number())
    # From before any moment that a test takes for the present one.
    valid = builder.not_valid_before(now - 3_650 * _DAY).not_valid_after(now + 365 * _DAY)
    return Signer(own, valid.sign(own, hashes.SHA256()))


def make_keys(folder: Path, client: Signer | None = None) -> Signer:
    """Write the files that a source needs into a folder.

    Args:
        client: by whom requests must be signed, if they must.

    Returns:
        The source's signer.
    """
    folder.mkdir(parents=True, exist_ok=True)
    source = make_signer("identity source")
    (folder / "source.pem").write_bytes(source.key_pem)
    (folder / "stranger.pem").write_bytes(make_signer("identity source").key_pem)
    if client is not None:
        (folder / "client.pem").write_bytes(client.pem)
    return source


def read_signer(file: Path, now: dates.datetime | None = None) -> Signer:
    """A signer that `make_keys` wrote, with its present moment."""
    pem = file.read_bytes()
    key = serialization.load_pem_private_key(pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey), "no other is written"
    return Signer(key, x509.load_pem_x509_certificate(pem), now)


def reply(
    signer: Signer | None,
    message: str,
    key: str,
    person: dict[str, str],
    result: str,
    *,
    extra: str = "",
    age_s: float = 0.0,
) -> bytes:
    """A reply.

    Args:
        signer: None leaves it unsigned.
        extra: XML that the schema does not know.
        age_s: seconds ago that it says it was made.
    """
    return _envelope(signer, _answer(message, key, person, result, extra), age_s)


def wrapped(signer: Signer, message: str, key: str, person: dict[str, str], truth: str, lie: str) -> bytes:
    """A reply whose signed Body was moved aside, with another one in its place."""
    root = etree.fromstring(reply(signer, message, key, person, truth))
    body = root.find("s:Body", _NS)
    header = root.find("s:Header", _NS)
    assert body is not None
    assert header is not None
    forged = etree.SubElement(root, f"{{{SOAP}}}Body")
    forged.append(etree.fromstring(_answer(message, key, person, lie)))
    aside = etree.SubElement(header, "{urn:elsewhere}aside")
    aside.append(body)
    return etree.tostring(root)


def fault(signer: Signer | None, message: str | None, code: str) -> bytes:
    """A Fault.

    Args:
        signer: None leaves it unsigned.
        message: id of the message that it is about; None leaves its detail out.
    """
    whose = "Server" if code in ("internal", "busy") else "Client"
    detail = ""
    if message is not None:
        said = f"<i:messageId>{escape(message)}</i:messageId><i:code>{code}</i:code>"
        detail = f'<detail><i:IdentityFault xmlns:i="{NAMESPACE}">{said}</i:IdentityFault></detail>'
    words = f"<faultcode>s:{whose}</faultcode><faultstring>{code}</faultstring>"
    return _envelope(signer, f'<s:Fault xmlns:s="{SOAP}">{words}{detail}</s:Fault>', 0.0)


def _answer(message: str, key: str, person: dict[str, str], result: str, extra: str = "") -> str:
    ((kind, number),) = person.items()
    note = ""
    if result != "match":
        note = "<i:note><i:ar>لم تتأكد البيانات</i:ar><i:en>The details are not confirmed</i:en></i:note>"
    return (
        f'<i:VerifyPersonResponse xmlns:i="{NAMESPACE}"><i:messageId>{escape(message)}</i:messageId>'
        f"<i:requestKey>{escape(key)}</i:requestKey><i:person><i:{kind}>{number}</i:{kind}></i:person>"
        f"<i:result>{result}</i:result>{note}{extra}</i:VerifyPersonResponse>"
    )


def _envelope(signer: Signer | None, payload: str, age_s: float) -> bytes:
    declared = "".join(f' xmlns:{prefix}="{uri}"' for prefix, uri in _NS.items() if prefix != "i")
    header = "" if signer is None else f"<s:Header>{_security(signer, age_s)}</s:Header>"
    root = etree.fromstring(
        f'<s:Envelope{declared}>{header}<s:Body wsu:Id="b">{payload}</s:Body></s:Envelope>'
    )
    if signer is not None:
        _sign(root, signer)
    return etree.tostring(root, encoding="UTF-8")


def _security(signer: Signer, age_s: float) -> str:
    made = (signer.now or dates.datetime.now(dates.UTC)) - dates.timedelta(seconds=age_s)
    created, expires = (
        moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        for moment in (made, made + dates.timedelta(seconds=240))
    )
    method = "ecdsa-sha256" if isinstance(signer.key, ec.EllipticCurvePrivateKey) else "rsa-sha256"
    exclusive = f'<ds:Transforms><ds:Transform Algorithm="{_EXCLUSIVE}"/></ds:Transforms>'
    references = "".join(
        f'<ds:Reference URI="#{name}">{exclusive}<ds:DigestMethod Algorithm="{_SHA256}"/><ds:DigestValue/>'
        "</ds:Reference>"
        for name in ("t", "b")
    )
    der = base64.b64encode(signer.certificate.public_bytes(serialization.Encoding.DER)).decode()
    return (
        '<wsse:Security s:mustUnderstand="1">'
        f'<wsse:BinarySecurityToken wsu:Id="c" ValueType="{_X509}" EncodingType="{_BASE64}">{der}'
        f'</wsse:BinarySecurityToken><wsu:Timestamp wsu:Id="t"><wsu:Created>{created}</wsu:Created>'
        f"<wsu:Expires>{expires}</wsu:Expires></wsu:Timestamp><ds:Signature><ds:SignedInfo>"
        f'<ds:CanonicalizationMethod Algorithm="{_EXCLUSIVE}"/>'
        f'<ds:SignatureMethod Algorithm="{_MORE}{method}"/>'
        f"{references}</ds:SignedInfo><ds:SignatureValue/><ds:KeyInfo><wsse:SecurityTokenReference>"
        f'<wsse:Reference URI="#c" ValueType="{_X509}"/></wsse:SecurityTokenReference></ds:KeyInfo>'
        "</ds:Signature></wsse:Security>"
    )


def _sign(root: etree._Element, signer: Signer) -> None:
    for reference in root.iterfind(".//ds:Reference", _NS):
        meant = reference.get("URI", "")[1:]
        (covered,) = (each for each in root.iter() if each.get(_ID) == meant)
        value = reference.find("ds:DigestValue", _NS)
        assert value is not None
        value.text = base64.b64encode(hashlib.sha256(_canonical(covered)).digest()).decode()
    info, value = root.find(".//ds:SignedInfo", _NS), root.find(".//ds:SignatureValue", _NS)
    assert info is not None
    assert value is not None
    value.text = base64.b64encode(_signature(signer, _canonical(info))).decode()


def _signature(signer: Signer, octets: bytes) -> bytes:
    if isinstance(signer.key, rsa.RSAPrivateKey):
        return signer.key.sign(octets, padding.PKCS1v15(), hashes.SHA256())
    r, s = decode_dss_signature(signer.key.sign(octets, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def signed_by(envelope: etree._Element, pem: bytes) -> bool:
    """Whether a request's Body and Timestamp are signed by a client, as WS-Security has it.

    Args:
        pem: the client's certificate.
    """
    info = envelope.find("s:Header/wsse:Security/ds:Signature/ds:SignedInfo", _NS)
    value = envelope.findtext("s:Header/wsse:Security/ds:Signature/ds:SignatureValue", None, _NS)
    parts = [envelope.find("s:Body", _NS), envelope.find("s:Header/wsse:Security/wsu:Timestamp", _NS)]
    if info is None or value is None or any(part is None for part in parts):
        return False
    said = {
        each.get("URI", ""): each.findtext("ds:DigestValue", "", _NS)
        for each in info.iterfind("ds:Reference", _NS)
    }
    for part in parts:
        assert part is not None
        digest = base64.b64encode(hashlib.sha256(_canonical(part)).digest()).decode()
        if said.get(f"#{part.get(_ID)}") != digest:
            return False
    key = x509.load_pem_x509_certificate(pem).public_key()
    return _holds(key, base64.b64decode(value), _canonical(info))


def _holds(key: object, signature: bytes, octets: bytes) -> bool:
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, octets, padding.PKCS1v15(), hashes.SHA256())
            return True
        if isinstance(key, ec.EllipticCurvePublicKey) and len(signature) == 64:
            r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
            key.verify(encode_dss_signature(r, s), octets, ec.ECDSA(hashes.SHA256()))
            return True
    except InvalidSignature:
        return False
    return False


def _canonical(element: etree._Element) -> bytes:
    return etree.tostring(element, method="c14n", exclusive=True, with_comments=False, with_tail=False)
