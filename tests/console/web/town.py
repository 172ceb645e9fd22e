"""A municipality on loopback: its verification page, keys, lists and index, which a test may change."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from fastapi import FastAPI, Response

from console.web import verify_page
from foundation.calendar import today
from foundation.definitions import Bilingual
from foundation.wire.credential import KeySet, LicenceClaims, PublicKey, SigningKey, seal
from foundation.wire.status_list import (
    MEDIA_TYPE,
    StatusList,
    StatusReference,
    StatusValue,
    empty,
    put,
    sign_list,
)
from integrations.service import load_services
from tests.foundation.http_face import served

ORIGIN = "https://licences.example.gov.sa"
URI = f"{ORIGIN}/v1/status-lists/0"
VALID, REVOKED, SUSPENDED, REPLACED = range(4)
_DAY = timedelta(days=1)


def now() -> datetime:
    """The present moment, to the second."""
    return datetime.now(UTC).replace(microsecond=0)


@dataclass
class Town:
    """What is served, and keys to make licences with."""

    key: SigningKey = field(default_factory=lambda: SigningKey.generate("sample"))
    other: SigningKey = field(default_factory=lambda: SigningKey.generate("other"))
    revoked: SigningKey = field(default_factory=lambda: SigningKey.generate("sample"))
    later: SigningKey = field(default_factory=lambda: SigningKey.generate("sample"))
    lists: dict[str, bytes] = field(default_factory=dict)
    extra_keys: list[PublicKey] = field(default_factory=list)
    url: str = ""
    asked: list[str] = field(default_factory=list)

    def renew(self) -> None:
        """Begin anew at the same address: other keys, and one list, three hours old."""
        vars(self).update(vars(Town()) | {"url": self.url})
        self.publish()

    def keys(self) -> KeySet:
        return KeySet(
            [
                self.key.public,
                self.other.public,
                replace(self.revoked.public, revoked_at=now() - _DAY),
                replace(self.later.public, not_before=now() + _DAY),
                *self.extra_keys,
            ]
        )

    def publish(self, age: timedelta = timedelta(hours=3), *, version: int = 1, uri: str = URI) -> None:
        """Make a list of some age and serve it."""
        packed = empty()
        places = zip((REVOKED, SUSPENDED, REPLACED), list(StatusValue)[1:], strict=True)
        put(packed, [(place, value) for place, value in places])
        made = now() - age
        content = StatusList(
            uri=uri,
            municipality=self.key.municipality,
            version=version,
            issued_at=made,
            expires_at=made + 7 * _DAY,
            ttl=timedelta(hours=12),
            packed=bytes(packed),
        )
        self.lists[uri.removeprefix(ORIGIN)] = sign_list(content, self.key)

    def licence(self, place: int | None = VALID, key: SigningKey | None = None, **changes: object) -> str:
        """The code of a licence that has this place in the list."""
        content = LicenceClaims(
            number="SC-2026-004512",
            service="shop_licence",
            title=Bilingual(ar="رخصة محل تجاري", en="Shop licence"),
            municipality="sample",
            valid_from=today() - 30 * _DAY,
            valid_to=today() + 335 * _DAY,
            issued_at=now() - 30 * _DAY,
            public={
                "trade_name": "مخبز الندى",
                "activity": "إنتاج الخبز ومنتجاته (107101)",
                "area_m2": "120.5 م²",
                "district": "حي الروضة",
                "street": "شارع الأمير سلطان",
                "building_number": "7214",
            },
            status=None if place is None else StatusReference(place, URI),
        )
        return seal(replace(content, **changes), key or self.key)  # type: ignore[arg-type]

    def app(self) -> FastAPI:
        app = FastAPI()
        app.include_router(verify_page.router(_labels()))

        @app.get("/.well-known/rakeeza-keys.json")
        def keys() -> Response:
            self.asked.append("keys")
            return Response(self.keys().to_json(), media_type="application/jwk-set+json")

        @app.get("/.well-known/rakeeza-status.json")
        def index() -> dict[str, object]:
            return {"lists": [{"uri": ORIGIN + path} for path in self.lists]}

        @app.get("/v1/status-lists/{number}")
        def status_list(number: int) -> Response:
            self.asked.append(f"list {number}")
            token = self.lists.get(f"/v1/status-lists/{number}")
            return Response(status_code=404) if token is None else Response(token, media_type=MEDIA_TYPE)

        return app


@functools.cache
def _labels() -> bytes:
    name = Bilingual(ar="أمانة نموذجية", en="Sample Municipality")
    return verify_page.labels(load_services([]), "sample", name)


@contextmanager
def running_town() -> Iterator[Town]:
    """A town with one list, three hours old."""
    town = Town()
    town.publish()
    with served(town.app()) as origin:
        town.url = f"{origin}/verify/"
        yield town
