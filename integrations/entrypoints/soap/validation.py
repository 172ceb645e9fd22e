"""Holds a request against the XSD, and tells each thing that is wrong with its path and line.

Paths are those of the sender's own elements, by local names: `/Submit/form/field[3]/text`.
"""

import re
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast

from lxml import etree

from foundation.errors import FieldError, InvalidInput

MOST_TOLD = 50
"""Faults of one message that are told."""

_STEP = re.compile(r"(?:(?P<prefix>[^:\[]+):)?(?P<name>[^:\[]+)(?:\[(?P<place>\d+)\])?")
_NAMESPACE = re.compile(r"\{[^}' ]*\}")
_SENTENCES = {
    "SCHEMAV_ELEMENT_CONTENT": "عنصر ناقص، أو في غير موضعه.",
    "SCHEMAV_CVC_ELT_1": "هذا العنصر ليس من عمليات العقد.",
    "SCHEMAV_CVC_DATATYPE_VALID_1_2_1": "القيمة ليست من النوع المطلوب.",
    "SCHEMAV_CVC_DATATYPE_VALID_1_2_3": "القيمة ليست من الأنواع المقبولة.",
    "SCHEMAV_CVC_PATTERN_VALID": "صيغة القيمة غير صحيحة.",
    "SCHEMAV_CVC_ENUMERATION_VALID": "القيمة ليست من القيم المعروفة.",
    "SCHEMAV_CVC_LENGTH_VALID": "طول القيمة غير صحيح.",
    "SCHEMAV_CVC_MINLENGTH_VALID": "القيمة أقصر من المسموح.",
    "SCHEMAV_CVC_MAXLENGTH_VALID": "القيمة أطول من المسموح.",
    "SCHEMAV_CVC_MININCLUSIVE_VALID": "القيمة أصغر من المسموح.",
    "SCHEMAV_CVC_MAXINCLUSIVE_VALID": "القيمة أكبر من المسموح.",
    "SCHEMAV_CVC_TOTALDIGITS_VALID": "عدد الأرقام أكبر من المسموح.",
    "SCHEMAV_CVC_FRACTIONDIGITS_VALID": "عدد الأرقام بعد الفاصلة أكبر من المسموح.",
    "SCHEMAV_CVC_COMPLEX_TYPE_2_1": "يجب أن يكون هذا العنصر فارغًا.",
    "SCHEMAV_CVC_COMPLEX_TYPE_2_3": "لا يقبل هذا العنصر نصًا بين عناصره.",
    "SCHEMAV_CVC_COMPLEX_TYPE_3_2_1": "هذه السمة غير معروفة.",
    "SCHEMAV_CVC_COMPLEX_TYPE_3_2_2": "هذه السمة غير معروفة.",
    "SCHEMAV_CVC_COMPLEX_TYPE_4": "سمة مطلوبة ناقصة.",
    "SCHEMAV_CVC_TYPE_3_1_1": "لا يقبل هذا العنصر سمات.",
    "SCHEMAV_CVC_TYPE_3_1_2": "لا يقبل هذا العنصر عناصر داخله.",
    "SCHEMAV_CVC_ELT_3_1": "لا يقبل هذا العنصر القيمة nil.",
    "SCHEMAV_CVC_ELT_3_2_1": "العنصر nil يجب أن يكون فارغًا.",
}
_WRONG = "القيمة غير صحيحة."


class Schema:
    """An XSD, read once.

    A schema of libxml2 may be used by several threads, lxml's list of its errors may not: one thread at a
    time validates.

    Args:
        path: of the XSD file, which is ours.

    Raises:
        etree.XMLSchemaParseError: it is no schema.
    """

    def __init__(self, path: Path) -> None:
        self._schema = etree.XMLSchema(etree.parse(str(path)))
        self._lock = threading.Lock()

    def check(self, request: etree._Element) -> None:
        """Let only an element pass that is valid.

        Raises:
            InvalidInput: it is not; each fault is told in English and Arabic, the first fifty.
        """
        with self._lock:
            if self._schema.validate(request):
                return
            faults = [*cast(Iterable[etree._LogEntry], self._schema.error_log)]
        raise _refusal(request, faults)


def _refusal(request: etree._Element, faults: Iterable[etree._LogEntry]) -> InvalidInput:
    # A value that breaks a facet is told again as one that is not of its type: the first says more.
    told: dict[str, etree._LogEntry] = {}
    for each in faults:
        told.setdefault(each.path or "", each)
    fields = tuple(_field(request, each) for _, each in zip(range(MOST_TOLD), told.values(), strict=False))
    more = f" ({len(told) - 1} more)" if len(told) > 1 else ""
    first = f"{fields[0].pointer} {fields[0].detail}".strip().removesuffix(".")
    return InvalidInput(
        f"{first}{more}.",
        remedy="Correct the request and send it again.",
        fields=fields,
        message_ar=f"في الطلب قيم غير صحيحة (عددها {len(told)}). {fields[0].detail_ar}",
    )


def _field(request: etree._Element, fault: etree._LogEntry) -> FieldError:
    path = "/" + "/".join(_named(request, fault.path or ""))
    # Its own words may quote the message, which may name a person: they go to the sender alone.
    told = _NAMESPACE.sub("", " ".join(fault.message.split()))[:300]
    arabic = _SENTENCES.get(fault.type_name, _WRONG)
    line = fault.line
    return FieldError(path, f"line {line}: {told}", line, f"السطر {line}: {arabic}")


def _named(request: etree._Element, path: str) -> Iterator[str]:
    """The steps of a path of libxml2, which has stars for what is in a default namespace, by names."""
    first, *steps = path.strip("/").split("/")
    del first
    yield etree.QName(request).localname
    here = request
    for step in steps:
        found = _STEP.fullmatch(step)
        if found is None:
            return
        name, prefix, place = found["name"], found["prefix"], int(found["place"] or 1)
        same = [
            child
            for child in here
            if name == "*" or (etree.QName(child).localname == name and child.prefix == prefix)
        ]
        if place > len(same):
            return
        here = same[place - 1]
        yield _placed(here)


def _placed(element: etree._Element) -> str:
    name = etree.QName(element).localname
    parent = element.getparent()
    alike = [] if parent is None else [each for each in parent if etree.QName(each).localname == name]
    return f"{name}[{alike.index(element) + 1}]" if len(alike) > 1 else name
