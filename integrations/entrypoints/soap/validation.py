"""Holds a request against the XSD, and tells each thing that is wrong with its path and line.

Paths are those of the sender's own elements, by local names: `/Submit/form/field[3]/text`.
"""

import re
import threading
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import cast

from lxml import etree

from foundation.errors import FieldError, InvalidInput

MOST_TOLD = 50
"""Faults of one message that are told."""

# Children among which one that is wrong is told by its place; of more, its parent is told.
_MOST_LOOKED_THROUGH = 20_000
_STEP = re.compile(r"(?P<name>[^\[]+)(?:\[(?P<place>\d+)\])?")
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
    paths = _Paths(request)
    fields = tuple(_field(paths, each) for each in list(told.values())[:MOST_TOLD])
    more = f" ({len(told) - 1} more)" if len(told) > 1 else ""
    first = f"{fields[0].pointer} {fields[0].detail}".strip().removesuffix(".")
    return InvalidInput(
        f"{first}{more}.",
        remedy="Correct the request and send it again.",
        fields=fields,
        message_ar=f"في الطلب قيم غير صحيحة (عددها {len(told)}). {fields[0].detail_ar}",
    )


def _field(paths: "_Paths", fault: etree._LogEntry) -> FieldError:
    # Its own words may quote the message, which may name a person: they go to the sender alone.
    told = _NAMESPACE.sub("", " ".join(fault.message.split()))[:300]
    arabic = _SENTENCES.get(fault.type_name, _WRONG)
    line = fault.line
    place = paths.named(fault.path or "")
    return FieldError(place, f"line {line}: {told}", line, f"السطر {line}: {arabic}")


class _Paths:
    """Paths of libxml2, which has stars for what is in a default namespace, by the names of the elements."""

    def __init__(self, request: etree._Element) -> None:
        self._request = request
        # Each parent is looked through once, however many of its children are wrong.
        self._children: dict[etree._Element, dict[str, list[tuple[etree._Element, str]]]] = {}

    def named(self, path: str) -> str:
        """The path of the element, as far as it can be followed."""
        here, names = self._request, [_local(self._request)]
        for step in path.strip("/").split("/")[1:]:
            found = _STEP.fullmatch(step)
            alike = self._below(here).get(found["name"], []) if found else []
            place = int(found["place"] or 1) if found else 1
            if place > len(alike):
                break
            here, name = alike[place - 1]
            names.append(name)
        return "/" + "/".join(names)

    def _below(self, parent: etree._Element) -> dict[str, list[tuple[etree._Element, str]]]:
        """The children of an element by what a step calls them, a star among it, each as it is told."""
        if len(parent) > _MOST_LOOKED_THROUGH:
            return {}
        if parent not in self._children:
            counts = Counter(_local(child) for child in parent)
            seen: Counter[str] = Counter()
            below: dict[str, list[tuple[etree._Element, str]]] = {}
            for child in parent:
                name = _local(child)
                seen[name] += 1
                told = f"{name}[{seen[name]}]" if counts[name] > 1 else name
                step = f"{child.prefix}:{name}" if child.prefix else name
                for key in (step, "*"):
                    below.setdefault(key, []).append((child, told))
            self._children[parent] = below
        return self._children[parent]


def _local(element: etree._Element) -> str:
    return str(element.tag).rpartition("}")[2]
