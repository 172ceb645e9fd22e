"""Changes of a message, each with the code and the reason of its refusal."""

import base64
from collections.abc import Callable

from lxml import etree

from integrations.ws_security import names
from tests.integrations.ws_security.messages import NOW, one, parsed, reference, written

Change = Callable[[etree._Element], object]


def set_text(path: str, text: str) -> Change:
    def change(message: etree._Element) -> None:
        one(message, path).text = text

    return change


def set_attribute(path: str, name: str, value: str) -> Change:
    return lambda message: one(message, path).set(name, value)


def remove(path: str) -> Change:
    def change(message: etree._Element) -> None:
        found = one(message, path)
        parent = found.getparent()
        assert parent is not None
        parent.remove(found)

    return change


def add(path: str, tag: str) -> Change:
    return lambda message: etree.SubElement(one(message, path), tag)


def add_at(path: str, tag: str, text: str) -> Change:
    def change(message: etree._Element) -> None:
        etree.SubElement(one(message, path), tag).text = text

    return change


def rename(path: str, tag: str) -> Change:
    def change(message: etree._Element) -> None:
        one(message, path).tag = tag

    return change


def four_more_references(message: etree._Element) -> None:
    text = reference("#x").replace("<ds:Reference", f'<ds:Reference xmlns:ds="{names.DS}"')
    for _ in range(4):
        one(message, ".//ds:SignedInfo").append(parsed(text))


def prefix_list(listed: str) -> Change:
    def change(message: etree._Element) -> None:
        tag = f"{{{names.EXCLUSIVE}}}InclusiveNamespaces"
        etree.SubElement(one(message, ".//ds:CanonicalizationMethod"), tag, {"PrefixList": listed})

    return change


def same_id(message: etree._Element) -> None:
    message[1].set(names.WSU_ID, one(message, ".//wsu:Timestamp").get(names.WSU_ID, ""))


CERTIFICATE = f"{{{names.DS}}}X509Certificate"
TOKEN = ".//wsse:BinarySecurityToken"
STR = ".//wsse:SecurityTokenReference"

# What is done to a message of zeep (with a clerk and a certificate), the code and the reason.
CHANGES: list[tuple[Change, str, str]] = [
    (set_text(".", "text"), "wsse:InvalidSecurity", "mixed-content"),
    (add(".//ds:SignedInfo/ds:SignatureMethod", "{urn:x}a"), "wsse:InvalidSecurity", "unexpected-content"),
    (
        add_at(".//ds:SignatureMethod", f"{{{names.DS}}}HMACOutputLength", "8"),
        "wsse:InvalidSecurity",
        "unexpected-content",
    ),
    (add(".//ds:Signature", f"{{{names.DS}}}Object"), "wsse:InvalidSecurity", "unexpected-content"),
    (set_attribute(".//ds:Reference", "Type", "urn:x"), "wsse:InvalidSecurity", "unexpected-attribute"),
    (set_text(".//ds:DigestValue", ""), "wsse:InvalidSecurity", "not-a-text"),
    (set_text(".//ds:DigestValue", "A" * 500), "wsse:InvalidSecurity", "not-a-text"),
    (set_text(".//ds:DigestValue", "AB=="), "wsse:InvalidSecurity", "not-base64"),
    (set_text(".//ds:SignatureValue", "é==="), "wsse:InvalidSecurity", "not-base64"),
    (set_attribute(".//wsse:Nonce", "EncodingType", "urn:hex"), "wsse:InvalidSecurity", "encoding"),
    (rename(".", "{urn:x}Envelope"), "wsse:InvalidSecurity", "no-envelope"),
    (add(".", "{urn:x}a"), "wsse:InvalidSecurity", "envelope-content"),
    (remove(".//wsse:Security"), "wsse:InvalidSecurity", "security-headers"),
    (
        set_attribute(".//wsse:Security", f"{{{names.SOAP_11}}}actor", "urn:x"),
        "wsse:InvalidSecurity",
        "security-role",
    ),
    (
        add(".//wsse:Security", f"{{{names.WSSE}}}SecurityTokenReference"),
        "wsse:UnsupportedSecurityToken",
        "unsupported-token",
    ),
    (
        add(".//wsse:Security", "{http://www.w3.org/2001/04/xmlenc#}EncryptedKey"),
        "wsse:UnsupportedSecurityToken",
        "unsupported-token",
    ),
    (
        add(".//wsse:Security", "{urn:oasis:names:tc:SAML:2.0:assertion}Assertion"),
        "wsse:UnsupportedSecurityToken",
        "unsupported-token",
    ),
    (add(".//wsse:Security", names.TIMESTAMP), "wsse:InvalidSecurity", "second-of-a-kind"),
    (remove(".//wsu:Timestamp"), "wsse:InvalidSecurity", "missing-part"),
    (remove(".//ds:Signature"), "wsse:InvalidSecurity", "missing-part"),
    (add(".//wsu:Timestamp", f"{{{names.WSU}}}Created"), "wsse:InvalidSecurity", "timestamp-content"),
    (remove(".//wsu:Timestamp/wsu:Created"), "wsse:InvalidSecurity", "timestamp-content"),
    (
        set_text(".//wsu:Timestamp/wsu:Expires", written(NOW)),
        "wsse:InvalidSecurity",
        "expires-before-created",
    ),
    (set_text(".//wsu:Created", "2026-03-01T08:30:00"), "wsse:InvalidSecurity", "not-a-time"),
    (add(".//wsse:UsernameToken", "{urn:x}a"), "wsse:InvalidSecurityToken", "username-token-content"),
    (
        add(".//wsse:UsernameToken", f"{{{names.WSSE}}}Username"),
        "wsse:InvalidSecurityToken",
        "username-token-content",
    ),
    (
        set_attribute(".//wsse:Password", "Type", names.PASSWORD_DIGEST.replace("Digest", "Text")),
        "wsse:UnsupportedSecurityToken",
        "password-type",
    ),
    (set_text(".//wsse:Nonce", "MDEyMzQ1Njc4OWFiY2Rl"), "wsse:InvalidSecurityToken", "short-nonce"),
    (rename(".//ds:SignedInfo/ds:Reference", "{urn:x}a"), "wsse:InvalidSecurity", "signed-info-content"),
    (four_more_references, "wsse:InvalidSecurity", "too-many-references"),
    (
        set_attribute(".//ds:Reference", "URI", "http://127.0.0.1/"),
        "wsse:FailedCheck",
        "reference-not-an-id",
    ),
    (remove(".//ds:Transform"), "wsse:UnsupportedAlgorithm", "transforms"),
    (
        set_attribute(".//ds:CanonicalizationMethod", "Algorithm", "http://www.w3.org/2006/12/xml-c14n11"),
        "wsse:UnsupportedAlgorithm",
        "canonical-method",
    ),
    (prefix_list("soap:x"), "wsse:InvalidSecurity", "prefix-list"),
    (prefix_list("a " * 33), "wsse:InvalidSecurity", "prefix-list"),
    (set_attribute(".//ds:Reference", "URI", "#elsewhere"), "wsse:FailedCheck", "reference-elsewhere"),
    (remove(".//ds:Reference"), "wsse:FailedCheck", "not-covered"),
    (set_attribute("s:Body", "Id", "x"), "wsse:InvalidSecurity", "several-ids"),
    (same_id, "wsse:InvalidSecurity", "id-twice"),
    (remove(TOKEN), "wsse:SecurityTokenUnavailable", "token-elsewhere"),
    (set_attribute(".//wsse:Reference", "URI", "#x"), "wsse:SecurityTokenUnavailable", "token-elsewhere"),
    (rename(".//wsse:Reference", "{urn:x}Reference"), "wsse:InvalidSecurity", "token-not-used"),
    (
        set_attribute(TOKEN, "ValueType", names.X509_V3.replace("X509v3", "X509PKIPathv1")),
        "wsse:UnsupportedSecurityToken",
        "key-reference",
    ),
    (
        set_attribute(STR, f"{{{names.WSSE_11}}}TokenType", "urn:saml"),
        "wsse:UnsupportedSecurityToken",
        "key-reference",
    ),
    (set_text(TOKEN, "%"), "wsse:InvalidSecurityToken", "certificate-encoding"),
    (set_text(TOKEN, "AAAA"), "wsse:FailedAuthentication", "certificate-not-known"),
    (add("s:Header", names.TIMESTAMP), "wsse:InvalidSecurity", "out-of-place"),
    (add("s:Header", f"{{{names.XOP}}}Include"), "wsse:InvalidSecurity", "attachment-outside"),
    (set_text(".//{urn:rakeeza:licensing:1}case", "2026-1"), "wsse:FailedCheck", "digest"),
    (set_text(".//ds:DigestValue", base64.b64encode(b"a" * 32).decode()), "wsse:FailedCheck", "signature"),
    (set_text(".//ds:SignatureValue", "AAAA"), "wsse:FailedCheck", "signature"),
]
