"""The API: every part's routes on one HTTP face."""

from fastapi import FastAPI
from sqlalchemy import text

from console.bootstrap import Platform
from console.web import metrics
from foundation.http import create_app, token_router
from infra.plays import http as plays
from integrations.entrypoints import rest, verify


def create_api(platform: Platform) -> FastAPI:
    """The API of a platform, as the role `api` serves it."""
    app = create_app("Rakeeza", max_body=platform.settings.http.max_body)
    app.add_middleware(metrics.Measured)
    app.include_router(metrics.router())
    app.include_router(token_router(platform.identity))
    app.include_router(rest.router(platform.licensing, platform.identity))
    app.include_router(verify.router(platform.licensing))
    app.include_router(plays.router(platform.plays, platform.identity))

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        """Whether the API and its database answer."""
        with platform.database.transaction() as session:
            session.execute(text("SELECT 1"))
        return {"status": "ok"}

    return app
