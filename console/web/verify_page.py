"""The verification page: a phone reads a licence's code and judges it, without a network if need be.

Static files of ours, served as they lie in `verify/`, and two that are made here: `labels.json`, what the
public fields of each service are called, and `worker.js`, which begins with the hashes of all the others. A
browser compares the worker byte by byte, so whatever file changes, it fetches the whole set anew and never
mixes two.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException

from foundation.definitions import Bilingual
from foundation.registry import Registry
from integrations.service import Service

FOLDER = Path(__file__).parent / "verify"
PATH = "/verify/"

_INDEX, _WORKER, _LABELS = "index.html", "worker.js", "labels.json"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
}
_HEADERS = {
    # Nothing of anybody else, nothing inline; camera and chosen picture are no addresses, and need none.
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    # Asked again each time, and answered in no bytes where nothing changed.
    "cache-control": "no-cache",
}


@dataclass(frozen=True)
class _File:
    body: bytes
    kind: str

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(self.body).hexdigest()


def labels(services: Registry[Service], municipality: str, name: Bilingual) -> bytes:
    """What the page calls a municipality and the public fields of its services, as JSON.

    Args:
        services: the definitions.
        municipality: code of the one that issues here.
        name: of that one.
    """
    told = {
        "municipalities": {municipality: name.model_dump()},
        "fields": {
            service.code: {field: service.fields[field].label.model_dump() for field in service.public}
            for service in services.items()
        },
    }
    return json.dumps(told, ensure_ascii=False).encode()


def router(told: bytes) -> APIRouter:
    """The page's routes.

    Args:
        told: what `labels` gave.
    """
    files = _files(told)
    routes = APIRouter(include_in_schema=False)

    @routes.get("/verify")
    def without_slash() -> RedirectResponse:
        # The worker's scope ends with the slash.
        return RedirectResponse(PATH, status_code=308)

    @routes.api_route(PATH + "{name:path}", methods=["GET", "HEAD"])
    def file(name: str, request: Request) -> Response:
        found = files.get(name or _INDEX)
        if found is None:
            raise HTTPException(404)
        headers = {**_HEADERS, "etag": f'"{found.digest}"'}
        # A digest stands in no other tag; a proxy that packs the answer marks the tag as a weak one.
        if found.digest in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(found.body, media_type=found.kind, headers=headers)

    return routes


def _files(told: bytes) -> Mapping[str, _File]:
    files = {
        path.name: _File(path.read_bytes(), _TYPES[path.suffix])
        for path in sorted(FOLDER.iterdir())
        if path.suffix in _TYPES
    }
    files[_LABELS] = _File(told, _TYPES[".json"])
    worker = files.pop(_WORKER)
    hashes = {name: file.digest for name, file in files.items()}
    # The worker's own bytes too: what an old one kept, a new one may not find in its place.
    version = hashlib.sha256(json.dumps(hashes).encode() + worker.body).hexdigest()[:16]
    head = f"const VERSION = {json.dumps(version)};\nconst FILES = {json.dumps(hashes)};\n"
    files[_WORKER] = _File(head.encode() + worker.body, worker.kind)
    return files
