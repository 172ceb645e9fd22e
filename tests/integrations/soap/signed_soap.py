"""A town whose centres sign messages, by zeep and xmlsec, on a real server."""

import json
import logging
import secrets
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from lxml import etree
from sqlalchemy import text
from xmlsec import constants
from zeep.wsse.signature import BinarySignature, Signature
from zeep.wsse.username import UsernameToken
from zeep.wsse.utils import WSU as WSU_MAKER

from integrations.centres.terms import terms_of
from integrations.entrypoints.soap.app import SoapFace
from integrations.entrypoints.soap.envelope import Version
from integrations.entrypoints.soap.security import Centres
from tests.foundation.http_face import served
from tests.integrations.desk import ADMINISTRATOR, FORM, Desk
from tests.integrations.face import submission
from tests.integrations.signed_town import BRANCH, CODE, OTHER, Kit, Town, open_town, pem
from tests.integrations.soap.soap_client import (
    PATH,
    SOAP_11,
    Said,
    asked,
    content_type,
    enveloped,
    said,
)
from tests.integrations.soap.soap_town import state

BADR = "badr"
WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
NOTHING: Mapping[str, str] = {}


@dataclass
class SoapTown:
    """A town whose centres sign.

    Args:
        secret: of the clerk `badr` of each centre.
        ahead: by how much the clock of the face is ahead; the last one counts.
    """

    town: Town
    url: str
    folder: Path
    secret: dict[str, str]
    ahead: list[timedelta]

    @property
    def desk(self) -> Desk:
        return self.town.desk

    def signed(self, operation: str, parameters: dict[str, str], body: Any = None, **how: Any) -> bytes:
        """A message as zeep signs it; `how` changes whose it is."""
        sent = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        return self.sealed(asked(operation, parameters, sent), **how)

    def sealed(
        self,
        payload: str,
        kit: Kit | None = None,
        *,
        version: Version = SOAP_11,
        username: str | None = f"{BADR}@{CODE}",
        secret: str = "",
        binary: bool = True,
        at: datetime | None = None,
        token_at: datetime | None = None,
        nonce: str = "",
    ) -> bytes:
        """An envelope with this in its Body, signed."""
        by, now = kit or self.town.kits[CODE], at or datetime.now(UTC)
        key, certificate = self.folder / f"{by.serial}.key", self.folder / f"{by.serial}.pem"
        key.write_bytes(pem(by.key))
        certificate.write_bytes(by.certificate)
        message = etree.fromstring(enveloped(payload, version, header="<x/>"))
        header = message.find(version.named("Header"))
        assert header is not None
        header.remove(header[0])
        until = now + timedelta(seconds=300)
        made = WSU_MAKER.Timestamp(WSU_MAKER.Created(_written(now)), WSU_MAKER.Expires(_written(until)))
        # zeep's classes have no types.
        token: Any = UsernameToken
        told = username or f"{BADR}@{CODE}"
        given = secret or self.secret[CODE]
        token(
            told,
            given,
            use_digest=True,
            timestamp_token=made,
            created=token_at or now,
            nonce=nonce or secrets.token_hex(16),
        ).apply(message, {})
        sign: Any = BinarySignature if binary else Signature
        curved = isinstance(by.key, ec.EllipticCurvePrivateKey)
        kind = constants.TransformEcdsaSha256 if curved else constants.TransformRsaSha256
        sign(str(key), str(certificate), None, kind, constants.TransformSha256).apply(message, {})
        if username is None:
            found = message.find(f".//{{{WSSE}}}UsernameToken")
            assert found is not None
            parent = found.getparent()
            assert parent is not None
            parent.remove(found)
        return etree.tostring(message, encoding="UTF-8", xml_declaration=True)

    def send(self, message: bytes, version: Version = SOAP_11, headers: Mapping[str, str] = NOTHING) -> Said:
        """What is said to a message."""
        told = {**content_type(version), **headers}
        return said(httpx.post(self.url + PATH, content=message, headers=told, timeout=60), version)

    def refused(
        self, message: bytes, kind: str, subcode: str = "", headers: Mapping[str, str] = NOTHING
    ) -> Said:
        """Hold a message to be refused so in both languages, to be logged, and to do nothing."""
        before = self.left()
        with logged() as lines:
            answer = self.send(message, headers=headers)
        assert (answer.json["type"], answer.subcode) == (f"urn:rakeeza:problem:{kind}", subcode), answer.json
        assert all(answer.json[name] for name in ("detail", "detail_ar", "title", "title_ar"))
        assert [f"refused by SOAP: urn:rakeeza:problem:{kind}" in each for each in lines] == [True], lines
        left = self.left()
        changed = {name: (before[name], left[name]) for name in left if left[name] != before[name]}
        assert not changed, changed
        return answer

    def left(self) -> dict[str, tuple[int, str]]:
        """Every table as it is now, save those that keep the messages themselves.

        A message that holds, and is not allowed to do what it asks for, is used up and written down.
        """
        kept = ("message_nonce", "centre_refusal")
        return {name: found for name, found in state(self.desk.database).items() if name not in kept}


@contextmanager
def logged() -> Iterator[list[str]]:
    """What the face logs meanwhile."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    log = logging.getLogger("integrations.entrypoints.soap.app")
    log.addHandler(handler)
    try:
        yield lines
    finally:
        log.removeHandler(handler)


def _written(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def submit(form: Any = FORM) -> tuple[str, dict[str, str], Any]:
    """An application with a key of its own."""
    return "submit", {"idempotencyKey": str(uuid.uuid4())}, submission(form)


@contextmanager
def open_signed(desk: Desk, folder: Path) -> Iterator[SoapTown]:
    """A town whose centres sign, each with the clerk `badr`."""
    ahead = [timedelta()]
    with open_town(desk) as opened:
        held: dict[str, str] = {}
        for code in (CODE, OTHER):
            opened.add_centre(code, rsa.generate_private_key(65537, 2048))
            _, secret = desk.licensing.centres.add_clerk(ADMINISTRATOR, code, BADR, "بدر بن سالم", BRANCH)
            held[code] = secret.reveal()
        # Messages of before a crash are refused for a while; this database remembers from before.
        with desk.database.transaction() as session:
            session.execute(text("UPDATE message_memory SET since = now() - interval '1 hour'"))
        vault = desk.licensing.desk.office.vault
        centres = Centres(
            desk.database,
            vault,
            terms_of(),
            opened.identity.caller,
            clock=lambda: datetime.now(UTC) + ahead[-1],
        )
        face = SoapFace(
            opened.app,
            authenticator=centres,
            public_url=None,
            most_message=1_000_000,
            most_package=50_000_000,
        )
        with served(face) as url:
            yield SoapTown(opened, url, folder, held, ahead)
