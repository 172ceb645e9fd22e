"""The API: every part's routes on one HTTP face."""

from fastapi import FastAPI
from sqlalchemy import text

from console.bootstrap import Platform
from console.web import metrics, verify_page
from foundation.definitions import Bilingual
from foundation.http import PROBLEMS, create_app
from foundation.http_tokens import token_router
from infra.plays import http as plays
from integrations import contracts
from integrations.entrypoints import rest, verify


def create_api(platform: Platform) -> FastAPI:
    """The API of a platform, as the role `api` serves it."""
    http = platform.settings.http
    app = create_app("Rakeeza", max_body=http.max_body, max_file=http.max_file, one_by_one=True)
    app.add_middleware(metrics.Measured)
    app.include_router(metrics.router(platform.database))
    app.include_router(token_router(platform.identity))
    app.include_router(rest.router(platform.licensing, platform.identity))
    app.include_router(verify.router(platform.licensing))
    app.include_router(verify_page.router(_labels(platform)))
    app.include_router(plays.router(platform.plays, platform.identity), responses=PROBLEMS)
    contracts.describe(app)

    @app.get("/healthz", responses=PROBLEMS)
    def healthz() -> dict[str, str]:
        """Whether the API and its database answer."""
        with platform.database.transaction() as session:
            session.execute(text("SELECT 1"))
        return {"status": "ok"}

    return app


def _labels(platform: Platform) -> bytes:
    issuer = platform.settings.platform
    name = Bilingual(ar=issuer.name_ar, en=issuer.name_en)
    return verify_page.labels(platform.licensing.services, issuer.municipality, name)
