"""A centre's client of the SOAP face, in Python with zeep. It is meant to be read, and taken over.

    python centre_client.py OPERATION <request.json

OPERATION is one of the contract's, as Submit; its request is JSON with the names of the XSD. An application's
`form` and `applicant` are plain objects, and `content` is base64. The answer is printed as JSON. A refusal is
printed with the name of its fault, and the exit code is 22 then.

API            https://licences.example.sa
CENTRE_KEY     private key of the centre, RSA or P-256 (PEM)
CENTRE_CERT    the certificate that was issued for it (PEM)
CLERK          amal@centre-7, or amal@centre-7/counter-1 where the clerk works at a device
CLERK_SECRET   what the municipality gave the clerk
CA             the authority of the server's certificate (PEM)
SOAP           1.1 or 1.2
MTOM           1 to send and take documents beside the message, up to 50 MB; in it they are up to 1 MB
"""

import base64
import json
import os
import secrets
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests
import xmlsec
import zeep.helpers
import zeep.wsse.username
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from lxml import etree
from xmlsec import template
from zeep import ns
from zeep.exceptions import Fault
from zeep.wsse import utils
from zeep.wsse.utils import WSU

# zeep has no types.
Client: Any = zeep.Client
Transport: Any = zeep.Transport
UsernameToken: Any = zeep.wsse.username.UsernameToken
as_dict: Any = zeep.helpers.serialize_object
ensure_id: Any = utils.ensure_id

_WSS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-"
X509 = f"{_WSS}x509-token-profile-1.0#X509v3"
BASE64 = f"{_WSS}soap-message-security-1.0#Base64Binary"
XOP = "http://www.w3.org/2004/08/xop/include"
CONTENT = "{urn:rakeeza:licensing:1}content"
exclusive = xmlsec.constants.TransformExclC14N

REFUSED = 22
GOOD_FOR = timedelta(seconds=120)


class Security:
    """The WS-Security header of each message: Timestamp, the clerk's token, the centre's signature.

    zeep's own signature leaves the token out, and only a signed one can name a device.

    Args:
        key, certificate: files of the centre, PEM.
        clerk, secret: the clerk's name and what he was given.
    """

    def __init__(self, key: str, certificate: str, clerk: str, secret: str) -> None:
        self._clerk, self._secret = clerk, secret
        self._key = xmlsec.Key.from_file(key, xmlsec.constants.KeyDataFormatPem)
        elliptic = isinstance(load_pem_private_key(Path(key).read_bytes(), None), EllipticCurvePrivateKey)
        constants = xmlsec.constants
        self._method = constants.TransformEcdsaSha256 if elliptic else constants.TransformRsaSha256
        lines = Path(certificate).read_text().strip().splitlines()
        self._certificate = "".join(lines[1:-1])

    def apply(self, envelope: Any, headers: Any) -> Any:
        """Called by zeep with each message that goes out."""
        now = datetime.now(UTC)
        created, expires = (f"{each:%FT%TZ}" for each in (now, now + GOOD_FOR))
        token = UsernameToken(
            self._clerk,
            self._secret,
            use_digest=True,
            nonce=secrets.token_hex(16),
            created=now,
            timestamp_token=WSU.Timestamp(WSU.Created(created), WSU.Expires(expires)),
        )
        envelope, headers = token.apply(envelope, headers)
        self._sign(envelope)
        return envelope, headers

    def _sign(self, envelope: Any) -> None:
        (security,) = envelope.iter(f"{{{ns.WSSE}}}Security")
        elements = [envelope.find("{*}Body"), *security]
        holder = etree.SubElement(security, f"{{{ns.WSSE}}}BinarySecurityToken", ValueType=X509)
        holder.set("EncodingType", BASE64)
        holder.text = self._certificate
        signature = template.create(envelope, exclusive, self._method)
        security.append(signature)
        named = etree.SubElement(template.ensure_key_info(signature), f"{{{ns.WSSE}}}SecurityTokenReference")
        etree.SubElement(named, f"{{{ns.WSSE}}}Reference", URI=f"#{ensure_id(holder)}", ValueType=X509)
        context = xmlsec.SignatureContext()
        context.key = self._key
        for each in elements:
            uri = f"#{ensure_id(each)}"
            context.register_id(each, "Id", ns.WSU)
            reference = template.add_reference(signature, xmlsec.constants.TransformSha256, uri=uri)
            template.add_transform(reference, exclusive)
        context.sign(signature)

    def verify(self, envelope: Any) -> Any:
        """Called by zeep with each answer: TLS has shown whose it is."""
        return envelope


def packed(request: Any) -> Any:
    """The message with its document beside it (MTOM); `requests` hands each one over before it is sent.

    The signature was made with the document in its place, as base64: there the server puts it back. zeep
    itself reads such answers, and writes none.
    """
    envelope = etree.fromstring(request.body) if request.body else None
    content = envelope.find(f".//{CONTENT}") if envelope is not None else None
    if envelope is None or content is None:
        return request
    document = base64.b64decode(content.text or "")
    content.text = None
    etree.SubElement(content, f"{{{XOP}}}Include", href="cid:document")
    soap = request.headers["Content-Type"].partition(";")[0]
    boundary = secrets.token_hex(16)
    parts = (
        (f'application/xop+xml; charset=UTF-8; type="{soap}"', "message", etree.tostring(envelope)),
        ("application/octet-stream", "document", document),
    )
    request.body = b""
    for kind, name, octets in parts:
        headers = f"Content-Type: {kind}\r\nContent-Transfer-Encoding: binary\r\nContent-ID: <{name}>"
        request.body += f"--{boundary}\r\n{headers}\r\n\r\n".encode() + octets + b"\r\n"
    request.body += f"--{boundary}--\r\n".encode()
    request.headers["Content-Type"] = (
        f'multipart/related; type="application/xop+xml"; start="<message>"; start-info="{soap}"; '
        f'boundary="{boundary}"'
    )
    request.headers["Content-Length"] = str(len(request.body))
    return request


def client(environment: Mapping[str, str]) -> Any:
    """zeep's client, with the contract's operations as the server has them.

    Args:
        environment: as above.
    """
    key, certificate = environment["CENTRE_KEY"], environment["CENTRE_CERT"]
    session = requests.Session()
    session.cert, session.verify = (certificate, key), environment["CA"]
    if environment.get("MTOM") == "1":
        session.auth = packed
        session.headers["Accept"] = "multipart/related, application/xop+xml, */*"
    return Client(
        f"{environment['API']}/v1/soap?wsdl",
        wsse=Security(key, certificate, environment["CLERK"], environment["CLERK_SECRET"]),
        transport=Transport(session=session),
    )


def fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """A plain object as the contract's Fields."""
    return {"field": [{"name": name, **value(each)} for name, each in values.items()]}


def value(given: Any) -> dict[str, Any]:
    """One of the contract's values: a text, number, flag, nothing, list or object."""
    match given:
        case bool():
            return {"flag": given}
        case int() | float():
            return {"number": given}
        case None:
            return {"nothing": True}
        case list():
            return {"list": {"item": [value(each) for each in given]}}
        case dict():
            return {"object": fields(given)}
    return {"text": given}


def native(request: dict[str, Any]) -> dict[str, Any]:
    """A request as zeep takes it."""
    for name in ("applicant", "form"):
        if name in request:
            request[name] = fields(request[name])
    if "content" in request:
        request["content"] = base64.b64decode(request["content"])
    return request


def plain(answer: object) -> object:
    """What JSON cannot hold, as text."""
    return base64.b64encode(answer).decode() if isinstance(answer, bytes) else str(answer)


def told(fault: Fault) -> Any:
    """The element of a fault's detail."""
    if isinstance(fault.detail, bytes):
        # A server that cannot tell our version answers in 1.1, and zeep hands over the octets.
        return etree.fromstring(fault.detail).findall(".//detail/*")[0]
    return fault.detail[0]


def main() -> int:
    """Carry out the operation that the command line names; the exit code."""
    made = client(os.environ)
    service = made.bind("Licensing", f"LicensingSoap{os.environ['SOAP'].replace('.', '')}")
    request = native(json.load(sys.stdin))
    code, answer = 0, None
    try:
        answer = service[sys.argv[1]](**request)
    except Fault as fault:
        # The fault's one element has the name that the contract gives it, and holds the problem.
        element = told(fault)
        problem = made.wsdl.types.deserialize(element)
        code, answer = REFUSED, {"fault": element.tag.partition("}")[2], "problem": problem}
    json.dump(as_dict(answer, dict), sys.stdout, default=plain)
    return code


if __name__ == "__main__":
    sys.exit(main())
