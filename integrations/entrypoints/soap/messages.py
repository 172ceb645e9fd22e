"""A message between its octets and the request of REST that it stands for."""

import hashlib
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache

from lxml import etree

from foundation.errors import InvalidInput, Malformed
from integrations.contracts.binding import Request, binding
from integrations.contracts.names import NAMESPACE, OTHER_PROBLEM, Operation, by_element, operations
from integrations.contracts.readers import tag
from integrations.entrypoints.soap import attachments
from integrations.entrypoints.soap.attachments import PACKAGE, MediaType, media_type
from integrations.entrypoints.soap.contract_files import XSD
from integrations.entrypoints.soap.dispatch import Answer
from integrations.entrypoints.soap.envelope import (
    BY_MEDIA_TYPE,
    Envelope,
    Version,
    VersionMismatch,
    check_action,
    opened,
)
from integrations.entrypoints.soap.faults import DECLARATION
from integrations.entrypoints.soap.reader import read, reading
from integrations.entrypoints.soap.replies import Reply
from integrations.entrypoints.soap.validation import Schema


class UnsupportedMediaType(InvalidInput):
    """The request is of no media type that holds a SOAP message."""

    titles = ("Unsupported Media Type", "نوع المحتوى غير مدعوم")


class UnknownOperation(InvalidInput):
    """The Body holds an element that is no operation of the contract."""

    titles = ("Unknown operation", "عملية غير معروفة")


@dataclass(frozen=True)
class Kind:
    """What the headers of a request say of its message.

    Args:
        type: its Content-Type.
        version: that this stands for.
        package: whether it is a package with attachments.
    """

    type: MediaType
    version: Version
    package: bool


@dataclass(frozen=True)
class Asked:
    """A message that asks for an operation; nothing is said yet of who sent it, or whether it is valid.

    Args:
        content: the octets of its document, where they came as an attachment; their element is empty.
    """

    envelope: Envelope
    operation: Operation
    content: memoryview | None = None

    @contextmanager
    def whole(self) -> Iterator[None]:
        """While it lasts the document stands in its element, as it was signed."""
        if self.content is None:
            yield
            return
        (holder,) = self.envelope.request.iterchildren(tag("content"))
        attachments.put_in_place([(holder, self.content)])
        try:
            yield
        finally:
            holder.text = None


def kind_of(headers: Mapping[str, str]) -> Kind:
    """What a request says that it is.

    Raises:
        UnsupportedMediaType: nothing that we read.
        Malformed: it cannot be told.
    """
    type = media_type(headers.get("content-type", ""))
    package = type.name == PACKAGE
    if package:
        named = type.parameters.get("start-info", "").partition(";")[0].strip().lower()
        known = type.parameters.get("type", "").lower() == attachments.ROOT
        version = BY_MEDIA_TYPE.get(named, Version.SOAP_11)
    else:
        known, version = type.name in BY_MEDIA_TYPE, BY_MEDIA_TYPE.get(type.name, Version.SOAP_11)
    if not known:
        raise UnsupportedMediaType(
            f"A SOAP message is not sent as {type.name[:80]}.",
            remedy="Send text/xml (SOAP 1.1), application/soap+xml (SOAP 1.2), or multipart/related (MTOM).",
            message_ar="نوع المحتوى لا يُقبل في رسائل SOAP.",
        )
    return Kind(type, version, package)


class Reading:
    """Reads messages, one at a time."""

    def __init__(self) -> None:
        self._parser = reading()
        self._schema = Schema(XSD)
        self._lock = threading.Lock()

    def opened(self, octets: bytearray, kind: Kind, headers: Mapping[str, str]) -> Asked:
        """The message in a request, its form right and its operation known.

        Args:
            octets: of the request; of a package it is enough that the root part is whole, and `completed`
                takes the rest.

        Raises:
            InvalidInput: one of its classes; see `reader.read`, `envelope.opened` and `attachments`.
            UnknownOperation: the contract has none such.
        """
        type, version, root = kind.type, kind.version, bytes(octets)
        if kind.package:
            type, root = attachments.begun(octets, kind.type) or _root_of(octets, kind)
            version = _version_of(type, kind)
        with self._lock:
            tree = read(root, type.parameters.get("charset"), self._parser)
        envelope = opened(tree, version, hashlib.sha256(octets).digest())
        operation = _operation(envelope.request)
        for said in (
            kind.type.parameters.get("action"),
            type.parameters.get("action"),
            headers.get("soapaction"),
        ):
            check_action(said, operation.action)
        return Asked(envelope, operation)

    def completed(self, asked: Asked, octets: bytearray, kind: Kind) -> Asked:
        """The message of a package that is there whole, with its attachments.

        Raises:
            Malformed, TooLarge: the package is not built as MTOM has it.
        """
        package = attachments.taken_apart(octets, kind.type)
        held = attachments.taken_out(asked.envelope.root, package.parts)
        envelope = replace(asked.envelope, digest=hashlib.sha256(octets).digest())
        return Asked(envelope, asked.operation, _content(held, envelope, asked.operation))

    def bound(self, asked: Asked) -> Request:
        """The request of REST that a message stands for.

        Raises:
            InvalidInput: the message is not valid by the XSD.
        """
        with self._lock:
            self._schema.check(asked.envelope.request)
        content = None if asked.content is None else bytes(asked.content)
        return binding().to_json(asked.envelope.request, content)


def written(asked: Asked, answer: Answer, packed: bool) -> Reply:
    """The message that answers.

    Args:
        answer: of success.
        packed: whether its document may go out as an attachment.
    """
    version = asked.envelope.version
    packed = packed and asked.operation.answer.binary is not None
    text = binding().answer_text(asked.operation, answer.status, answer.headers, answer.body, not packed)
    media = version.value.media_type
    if not packed:
        return Reply(200, f"{media}; charset=utf-8", _enveloped(version, text))
    name = "document@rakeeza"
    text = text.replace("<content></content>", f"<content>{attachments.included(name)}</content>", 1)
    kind = answer.headers.get("content-type", "application/octet-stream")
    outer, octets = attachments.put_together(_enveloped(version, text), media, [(name, kind, answer.body)])
    return Reply(200, outer, octets)


def detail(operation: Operation | None, status: int, document: bytes) -> str:
    """The contract's element of a problem; of one that its operation does not name, whichever names it."""
    named = operation if operation and operation.fault(status) != OTHER_PROBLEM else _naming().get(status)
    return binding().answer_text(named, status, {}, document)


@cache
def _naming() -> Mapping[int, Operation]:
    return {fault.status: operation for operation in operations() for fault in operation.faults}


def _enveloped(version: Version, text: str) -> bytes:
    namespace = version.value.namespace
    return (
        f'{DECLARATION}<soap:Envelope xmlns:soap="{namespace}"><soap:Body>{text}</soap:Body></soap:Envelope>'
    ).encode()


def _root_of(octets: bytearray, kind: Kind) -> tuple[MediaType, bytes]:
    package = attachments.taken_apart(octets, kind.type)
    return package.type, package.root


def _version_of(root: MediaType, kind: Kind) -> Version:
    version = BY_MEDIA_TYPE.get(root.parameters.get("type", "").partition(";")[0].strip().lower())
    if version is None or ("start-info" in kind.type.parameters and version is not kind.version):
        raise VersionMismatch(
            "The package does not say which SOAP its root part is, or says it twice and differently.",
            remedy="Give type of the root part, and start-info, as text/xml or application/soap+xml.",
            message_ar="إصدار SOAP في حزمة MTOM غير محدد أو متعارض.",
        )
    return version


def _operation(request: etree._Element) -> Operation:
    name = etree.QName(request)
    found = by_element().get(name.localname) if name.namespace == NAMESPACE else None
    if found is None:
        raise UnknownOperation(
            f"The Body holds {name.localname[:60]}, which is no operation of {NAMESPACE}.",
            remedy="See the contract: ?wsdl",
            message_ar="العنصر الموجود في Body ليس من عمليات العقد.",
        )
    return found


def _content(
    held: list[tuple[etree._Element, memoryview]], envelope: Envelope, operation: Operation
) -> memoryview | None:
    """The document of the request among its attachments; what else came so is put into its place for good."""
    content = None
    for holder, octets in held:
        named = operation.binary is not None and holder.tag == tag(operation.binary.element)
        if named and holder.getparent() is envelope.request and content is None:
            content = octets
        elif len(octets) > 65_536 or holder.getparent() is envelope.request:
            raise Malformed(
                "An attachment stands where the contract has no document.",
                remedy="Attach the document of the operation alone.",
                message_ar="مرفق في موضع لا يقبل العقد فيه مستندًا.",
            )
        else:
            attachments.put_in_place([(holder, octets)])
    return content
