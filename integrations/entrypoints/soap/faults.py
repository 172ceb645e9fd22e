"""Faults in both versions of SOAP: what REST answers as a problem document, with the same members.

Source: SOAP 1.1, sections 4.4 and 6.2; SOAP 1.2 part 1, section 5.4, and part 2, section 7.5; SOAP Message
Security 1.1.1, section 12 (fault codes).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from foundation.errors import NotFound, RakeezaError, problem
from foundation.http import RETRY_AFTER
from integrations.contracts.writers import escaped
from integrations.entrypoints.soap.dispatch import Answer
from integrations.entrypoints.soap.envelope import NotUnderstood, Version, VersionMismatch
from integrations.ws_security.names import WSSE, WSU

_NAMESPACES = {"wsse": WSSE, "wsu": WSU}
_SERVER = 500
_WEIGHT = re.compile(r"q\s*=\s*(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'


@dataclass(frozen=True)
class Fault:
    """A refusal or failure, before it is written in a version of SOAP.

    Args:
        problem: members of its problem document.
        code: VersionMismatch or MustUnderstand; empty where the problem's status says whose fault it is.
        subcode: prefixed name of WS-Security, or empty.
        headers: names that were not understood, as (namespace, local name).
        retry_after: seconds after which the same message may succeed, or None.
        http: the HTTP status, where it is not the version's own choice.
        reason: short name of what is wrong, for the log: it quotes nothing of the message.
    """

    problem: Mapping[str, Any]
    code: str = ""
    subcode: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    retry_after: int | None = None
    http: int | None = None
    reason: str = ""

    @property
    def ours(self) -> bool:
        """Whether the sender has done nothing wrong."""
        return not self.code and int(self.problem["status"]) >= _SERVER


@dataclass(frozen=True)
class Written:
    """A fault as it goes out."""

    status: int
    media_type: str
    body: bytes


def of_error(error: RakeezaError, status: int | None = None) -> Fault:
    """The fault of an error of the SOAP face itself.

    Args:
        status: of HTTP, where the error's own is another.
    """
    code = "VersionMismatch" if isinstance(error, VersionMismatch) else ""
    headers: tuple[tuple[str, str], ...] = ()
    if isinstance(error, NotUnderstood):
        code, headers = "MustUnderstand", error.headers
    subcode = getattr(error, "code", "")
    retry = RETRY_AFTER if error.retryable else None
    document = problem(error) | ({} if status is None else {"status": status})
    told = subcode if isinstance(subcode, str) else ""
    return Fault(document, code, told, headers, retry, status, str(getattr(error, "reason", "")))


def of_answer(answer: Answer) -> Fault:
    """The fault of a problem document that a route of REST answered."""
    document: dict[str, Any] = json.loads(answer.body)
    reference = document.pop("reference", None)
    document.pop("instance", None)
    if reference is not None:
        # The contract's Problem has no member for it, and who reads the fault has to name it.
        document["detail"] = f"{document['detail']} Reference: {reference}."
    wait = answer.headers.get("retry-after", "")
    return Fault(document, retry_after=int(wait) if wait.isdigit() else None)


def unexpected(reference: str) -> Fault:
    """The fault of a defect of ours."""
    return Fault(
        problem(
            RakeezaError(
                f"Something unexpected happened; it was logged as {reference}.",
                message_ar=f"حدث خطأ غير متوقع وسُجّل؛ اذكر الرقم المرجعي {reference} عند المراجعة.",
            )
        )
    )


def language_of(accepted: str) -> str:
    """The language of a fault's sentence: "ar" where it is asked for and not less than English.

    Args:
        accepted: the header Accept-Language, or empty.

    Source: RFC 9110, section 12.5.4.
    """
    weights = {"ar": 0.0, "en": 0.0, "*": 0.0}
    order: list[str] = []
    for each in accepted.lower().split(",")[:20]:
        named, _, rest = each.partition(";")
        language = named.strip().partition("-")[0]
        found = _WEIGHT.fullmatch(rest.strip())
        if language in weights and (not rest or found):
            weights[language] = max(weights[language], float(found[1]) if found else 1.0)
            order.append(language)
    english = weights["en"] if "en" in order else weights["*"]
    if weights["ar"] != english:
        return "ar" if weights["ar"] > english else "en"
    return "ar" if weights["ar"] and order.index("ar") < [*order, "en"].index("en") else "en"


def not_allowed(method: str) -> Mapping[str, Any]:
    """The problem of a method that SOAP does not use."""
    return {
        "type": "urn:rakeeza:problem:method-not-allowed",
        "title": "Method Not Allowed",
        "title_ar": "الطريقة غير مسموحة لهذا العنوان",
        "status": 405,
        "detail": f"{method} is not allowed at the SOAP face; POST a message, or GET ?wsdl.",
        "detail_ar": "هذه الطريقة غير مسموحة هنا؛ أرسل رسالة SOAP بالطريقة POST.",
    }


def nothing_here(address: str) -> Mapping[str, Any]:
    """The problem of a GET that asks for no file of the contract."""
    return problem(
        NotFound(
            "Messages are posted here; there is nothing else to get.",
            remedy=f"The contract is at {address}?wsdl and {address}?xsd.",
            message_ar=f"تُرسل الرسائل هنا بالطريقة POST؛ العقد في {address}?wsdl.",
        )
    )


def written(fault: Fault, version: Version, detail: str, language: str) -> Written:
    """A fault in a version of SOAP.

    Args:
        detail: the contract's element of the problem, as text.
        language: "ar" or "en", that the sentence is in; SOAP 1.2 may have it in several, but gSOAP's reader
            cannot read two. The detail has both.
    """
    one = version is Version.SOAP_11
    header = "" if one else _header(fault)
    said = _said_11(fault, language, detail) if one else _said_12(fault, language, detail)
    prefix = fault.subcode.partition(":")[0]
    declared = f' xmlns:{prefix}="{_NAMESPACES[prefix]}"' if prefix in _NAMESPACES else ""
    text = (
        f'{DECLARATION}<soap:Envelope xmlns:soap="{version.value.namespace}">{header}'
        f"<soap:Body><soap:Fault{declared}>{said}</soap:Fault></soap:Body></soap:Envelope>"
    )
    status = _SERVER if one or fault.ours or fault.code else 400
    return Written(fault.http or status, version.value.media_type, text.encode())


def _said_11(fault: Fault, language: str, detail: str) -> str:
    # Children of a fault have no namespace in this version.
    code = fault.subcode or f"soap:{fault.code or ('Server' if fault.ours else 'Client')}"
    sentence = escaped(_sentence(fault, language))
    return (
        f'<faultcode>{code}</faultcode><faultstring xml:lang="{language}">{sentence}</faultstring>'
        f"<detail>{detail}</detail>"
    )


def _said_12(fault: Fault, language: str, detail: str) -> str:
    code = fault.code or ("Receiver" if fault.ours else "Sender")
    below = fault.subcode and f"<soap:Subcode><soap:Value>{fault.subcode}</soap:Value></soap:Subcode>"
    sentence = escaped(_sentence(fault, language))
    return (
        f"<soap:Code><soap:Value>soap:{code}</soap:Value>{below}</soap:Code>"
        f'<soap:Reason><soap:Text xml:lang="{language}">{sentence}</soap:Text></soap:Reason>'
        f"<soap:Detail>{detail}</soap:Detail>"
    )


def _header(fault: Fault) -> str:
    """The versions that are spoken, or the headers that were not understood.

    Source: SOAP 1.2 part 1, sections 5.4.7 and 5.4.8.
    """
    if fault.code == "VersionMismatch":
        spoken = "".join(
            f'<soap:SupportedEnvelope xmlns:s="{each.value.namespace}" qname="s:Envelope"/>'
            for each in (Version.SOAP_12, Version.SOAP_11)
        )
        return f"<soap:Header><soap:Upgrade>{spoken}</soap:Upgrade></soap:Header>"
    strange = "".join(
        f'<soap:NotUnderstood xmlns:h="{_attribute(namespace)}" qname="h:{local}"/>'
        if namespace
        else f'<soap:NotUnderstood qname="{local}"/>'
        for namespace, local in fault.headers
    )
    return strange and f"<soap:Header>{strange}</soap:Header>"


def _attribute(text: str) -> str:
    return escaped(text).replace('"', "&quot;")


def _sentence(fault: Fault, language: str) -> str:
    key = "detail_ar" if language == "ar" else "detail"
    return str(fault.problem.get(key) or fault.problem["title_ar" if language == "ar" else "title"])
