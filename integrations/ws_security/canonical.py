"""Exclusive canonical XML, and what it does not fix: prefixes that stand in values.

Source: W3C Exclusive XML Canonicalization 1.0, sections 3 and 4.
"""

import re

from lxml import etree

from integrations.ws_security import names
from integrations.ws_security.faults import InvalidSecurity, UnsupportedAlgorithm
from integrations.ws_security.strict_xml import called, elements, exactly, only_attributes

_INCLUSIVE = f"{{{names.EXCLUSIVE}}}InclusiveNamespaces"
_PREFIX = re.compile(r"#default|[^\W\d][\w.\-]*")
_MOST_PREFIXES = 32
_DEFAULT = "#default"
# What libxml2 calls the prefix of the default namespace.
_EMPTY = ""


def octets(element: etree._Element, prefixes: tuple[str, ...] = ()) -> bytes:
    """The canonical octets of an element where it stands, without comments.

    Args:
        element: of a tree that this thread has read.
        prefixes: InclusiveNamespaces; "#default" for the default namespace.

    Raises:
        InvalidSecurity: it has none, as with a relative namespace.
    """
    inclusive = [_EMPTY if prefix == _DEFAULT else prefix for prefix in prefixes]
    if _EMPTY in inclusive:
        # lxml passes on only those prefixes that were read before in this thread; this reads the empty one.
        etree.fromstring(b'<none xmlns=""/>')
    try:
        return etree.tostring(
            element,
            method="c14n",
            exclusive=True,
            with_comments=False,
            inclusive_ns_prefixes=inclusive or None,
            with_tail=False,
        )
    except etree.C14NError as error:
        raise InvalidSecurity(
            "no-canonical-form",
            "It has no canonical form, as where a namespace is a relative address.",
            "ليست له صيغة قانونية موحّدة (canonical)، كأن يكون أحد النطاقات عنوانًا نسبيًا.",
            place=called(element),
        ) from error


def inclusive_prefixes(method: etree._Element) -> tuple[str, ...]:
    """The prefixes of an element that must say exclusive canonical XML, by its Algorithm.

    Args:
        method: a CanonicalizationMethod or a Transform.

    Raises:
        UnsupportedAlgorithm: it is another one.
        InvalidSecurity: its list of prefixes is not written as it must be.
    """
    only_attributes(method, "Algorithm")
    if method.get("Algorithm") != names.EXCLUSIVE:
        raise UnsupportedAlgorithm(
            "canonical-method",
            f"The only method and transform that is taken is {names.EXCLUSIVE}",
            f"الطريقة والتحويل المقبولان هما فقط {names.EXCLUSIVE}",
            place=called(method),
        )
    if not elements(method):
        return ()
    (listed,) = exactly(method, _INCLUSIVE)
    exactly(listed)
    only_attributes(listed, "PrefixList")
    found = tuple(listed.get("PrefixList", "").split())
    if len(found) > _MOST_PREFIXES or not all(map(_PREFIX.fullmatch, found)):
        raise InvalidSecurity(
            "prefix-list",
            f"The PrefixList must name at most {_MOST_PREFIXES} prefixes.",
            f"يجب ألا تزيد قائمة PrefixList على {_MOST_PREFIXES} بادئة صحيحة.",
            place=called(listed),
        )
    return found


def check_type(element: etree._Element, apex: etree._Element, prefixes: tuple[str, ...]) -> None:
    """Refuse an xsi:type whose prefix could mean another namespace without the signature noticing.

    Canonical octets have the declaration of a prefix only where an element is written with it, or where the
    list of prefixes has it. A prefix that stands in a value alone may be declared anew by anybody.

    Args:
        element: has an xsi:type; within `apex`, or itself.
        apex: the signed element.
        prefixes: InclusiveNamespaces of the signed element.

    Raises:
        InvalidSecurity: the prefix is not fixed.
    """
    written = (element.get(f"{{{names.XSI}}}type") or "").strip()
    prefix = written.partition(":")[0] if ":" in written else None
    if (prefix or _DEFAULT) in prefixes:
        return
    meant = element.nsmap.get(prefix)
    at: etree._Element | None = element
    while at is not None and at.nsmap.get(prefix) == meant:
        if at.prefix == prefix:
            return
        at = None if at is apex else at.getparent()
    raise InvalidSecurity(
        "unfixed-prefix",
        "The signature does not fix what the prefix of this xsi:type means.",
        "التوقيع لا يثبّت معنى البادئة في xsi:type.",
        place=called(element),
        remedy="Leave xsi:type out, or name its prefix in InclusiveNamespaces.",
    )
