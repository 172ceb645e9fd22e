"""An office with both faces on real servers, over one database."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import httpx
from sqlalchemy import text
from starlette.types import Scope

from foundation.caller import Caller
from foundation.confirmation import shown
from foundation.database import Database
from foundation.errors import NotAuthenticated
from foundation.idempotency import Answer
from foundation.identity import Identity
from integrations.contracts.names import by_id
from integrations.entrypoints.soap.app import SoapFace
from integrations.entrypoints.soap.envelope import Envelope, Version
from integrations.entrypoints.soap.security import Authenticator
from tests.foundation.http_face import served
from tests.integrations.desk import PNG, Desk, Keyed, new_key
from tests.integrations.face import Face, open_face
from tests.integrations.soap.soap_client import (
    PATH,
    SOAP_11,
    OverSoap,
    Said,
    asked,
    content_type,
    enveloped,
    said,
)

MOST_MESSAGE, MOST_PACKAGE = 1_000_000, 50_000_000


class Nobody:
    """Knows no centre: every signed message is refused; tokens are looked at."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    def authenticated(self, _envelope: Envelope, _scope: Scope, /) -> Caller:
        raise NotAuthenticated("Nobody is known here.", message_ar="لا أحد معروف هنا.")

    def announced(self, _envelope: Envelope, _scope: Scope, /) -> str:
        raise NotAuthenticated("Nobody is known here.", message_ar="لا أحد معروف هنا.")

    def bearer(self, token: str, scope: Scope, /) -> str:
        return self._identity.caller(token, shown(scope)).name


@dataclass
class SoapTown:
    """Both faces of an office.

    Args:
        rest: its REST face.
        url: of the server of the SOAP face.
        http: speaks with that server.
    """

    rest: Face
    url: str
    http: httpx.Client

    def post(self, message: bytes, headers: Mapping[str, str], who: str | None = None) -> httpx.Response:
        """Send octets as a message."""
        return self.http.post(self.url + PATH, content=message, headers={**headers, **self.rest.bearer(who)})

    def ask(
        self,
        who: str | None,
        operation_id: str,
        parameters: Mapping[str, str] | None = None,
        body: bytes | None = None,
        version: Version = SOAP_11,
    ) -> Said:
        """Ask for an operation; what was said."""
        headers = content_type(version, by_id()[operation_id])
        message = enveloped(asked(operation_id, parameters, body), version)
        return said(self.post(message, headers, who), version)

    def face(self, version: Version) -> Face:
        """The face of REST whose requests travel by SOAP."""
        client = httpx.Client(base_url=self.url, transport=OverSoap(self.url, version))
        return replace(self.rest, anyone=client)


@contextmanager
def open_soap(desk: Desk, authenticator: Authenticator | None = None) -> Iterator[SoapTown]:
    """Both faces of an office."""
    with ExitStack() as stack:
        rest = stack.enter_context(open_face(desk))
        face = SoapFace(
            rest.app,
            authenticator=authenticator or Nobody(rest.identity),
            public_url=None,
            most_message=MOST_MESSAGE,
            most_package=MOST_PACKAGE,
        )
        url = stack.enter_context(served(face))
        yield SoapTown(rest, url, stack.enter_context(httpx.Client(timeout=60)))


def state(database: Database) -> dict[str, tuple[int, str]]:
    """Every table: how many rows, and a hash over them."""
    tables = text("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
    with database.transaction() as session:
        return {
            name: tuple(
                session.execute(
                    text(
                        f"SELECT count(*), coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') "
                        f'FROM "{name}" AS t'
                    )
                ).one()
            )
            for name in session.execute(tables).scalars()
        }


class KeyedByFace(Keyed):
    """The office's writes, done over a face; each caller is a client of the same name and roles."""

    def __init__(self, face: Face) -> None:
        super().__init__(face.desk.licensing)
        self._face = face

    def submit(self, caller: Caller, said: Mapping[str, Any], key: str | None = None) -> Answer:
        return self._done(caller, "/v1/cases", dict(said), key)

    def quote(
        self, caller: Caller, number: str, key: str | None = None, version: int | None = None
    ) -> Answer:
        return self._done(caller, f"/v1/cases/{number}/quote", None, key, version)

    def invoice(
        self, caller: Caller, number: str, key: str | None = None, version: int | None = None
    ) -> Answer:
        return self._done(caller, f"/v1/cases/{number}/invoice", None, key, version)

    def take(
        self,
        caller: Caller,
        number: str,
        action: str,
        key: str | None = None,
        version: int | None = None,
        comment: str | None = None,
        form: Mapping[str, Any] | None = None,
    ) -> Answer:
        sent = {name: value for name, value in (("comment", comment), ("form", form)) if value is not None}
        return self._done(caller, f"/v1/cases/{number}/actions/{action}", sent or None, key, version)

    def put(self, caller: Caller, number: str, code: str, data: bytes = PNG) -> Answer:
        response = self._face.put(self._known(caller), number, code, data, f"{code}.png")
        assert response.status_code == 201, response.text
        return Answer(201, response.json())

    def pay(self, caller: Caller, notice: Mapping[str, Any], key: str | None) -> Answer:
        """Notify a payment."""
        return self._done(caller, "/v1/payments", dict(notice), key)

    def _done(
        self, caller: Caller, path: str, body: Any, key: str | None, version: int | None = None
    ) -> Answer:
        headers = {} if version is None else {"If_Match": f'"{version}"'}
        response = self._face.write(self._known(caller), path, body, key or new_key(), **headers)
        assert response.status_code in (200, 201), response.text
        return Answer(response.status_code, response.json())

    def _known(self, caller: Caller) -> str:
        if caller.name not in self._face.tokens:
            identity, roles = self._face.identity, caller.roles
            with self._face.desk.database.transaction() as session:
                secret = identity.add_client(session, caller.name, roles, caller.name, places=caller.places)
            self._face.tokens[caller.name] = identity.token(caller.name, secret).token.reveal()
        return caller.name


class FaceDesk(Desk):
    """An office all of whose writes go over a face."""

    face: Face

    @classmethod
    def of(cls, face: Face) -> "FaceDesk":
        """The office of a face."""
        desk = face.desk
        made = cls(desk.licensing, desk.database, desk.jobs, desk.settings, desk.now)
        made.face = face
        return made

    @property
    def do(self) -> KeyedByFace:
        """Writes."""
        return KeyedByFace(self.face)

    def pay_as(
        self, caller: Caller, bill: str, amount: Decimal, reference: str, key: str | None = None
    ) -> dict[str, Any]:
        notice = {
            "bill_number": bill,
            "amount": f"{amount:.2f}",
            "paid_at": self.now[-1].isoformat(),
            "reference": reference,
        }
        return self.do.pay(caller, notice, key).body
