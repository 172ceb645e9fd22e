"""The API: every part's routes on one HTTP face."""

from fastapi import FastAPI
from sqlalchemy import text

from console.bootstrap import Platform
from console.web import metrics, verify_page
from foundation import witness
from foundation.admission import Admission
from foundation.definitions import Bilingual
from foundation.http import PROBLEMS, TOKEN_PATH, create_app
from foundation.http_admission import Admitted
from foundation.http_tokens import token_router
from foundation.settings import Settings
from infra.plays import http as plays
from integrations import contracts
from integrations.centres import replay
from integrations.centres.terms import terms_of
from integrations.entrypoints import authority, bill_notices, interface, rest, verify
from integrations.entrypoints.rest.signatures import Signatures
from integrations.entrypoints.soap.app import SoapFace
from integrations.entrypoints.soap.security import Centres


def create_api(platform: Platform) -> FastAPI:
    """The API of a platform, as the role `api` serves it."""
    http = platform.settings.http
    app = create_app("Rakeeza", max_body=http.max_body, max_file=http.max_file, one_by_one=True)
    admission = Admission(http.centre_share) if http.centre_share < 1 else None
    # What is added later stands around what was added before: a message by SOAP is measured, and is guarded
    # by its own face.
    app.add_middleware(
        SoapFace,
        authenticator=_centres(platform),
        public_url=http.public_url,
        most_message=http.max_body,
        most_package=http.max_file,
        admission=admission,
    )
    if admission is not None:
        app.add_middleware(Admitted, admission=admission, elsewhere=frozenset({SoapFace.path}))
    app.add_middleware(interface.Versioned)
    app.add_middleware(metrics.Measured)
    witness.call(app, Signatures(platform.database, _origins(platform.settings)))
    app.include_router(metrics.router(platform.database, tuple(platform.settings.backends)))
    endpoints, secured = token_endpoints(platform.settings), platform.settings.tls.port is not None
    app.include_router(token_router(platform.identity, endpoints, by_certificate=secured))
    app.include_router(rest.router(platform.licensing, platform.identity))
    app.include_router(verify.router(platform.licensing))
    app.include_router(interface.router(http.public_url))
    app.include_router(bill_notices.router(platform.licensing.bills))
    app.include_router(authority.router(platform.certificates, platform.database))
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


def token_endpoints(settings: Settings) -> list[str]:
    """The URLs under which clients reach the token endpoint, by the settings; the public one first."""
    return [base + TOKEN_PATH for base in _bases(settings)]


def _origins(settings: Settings) -> list[str]:
    # Without a public address any name of this machine may be the one that clients know.
    return _bases(settings) if settings.http.public_url else []


def _bases(settings: Settings) -> list[str]:
    http, tls = settings.http, settings.tls
    bases = [http.public_url.rstrip("/")] if http.public_url else []
    bases += [f"https://{host}:{tls.port}" for host in (*tls.names, tls.host) if tls.port]
    bases += [f"http://{http.host}:{http.port}"]
    return list(dict.fromkeys(bases))


def _centres(platform: Platform) -> Centres:
    # The sooner it is known after a crash what the database forgot, the sooner messages are taken again.
    replay.remember(platform.database)
    vault = platform.licensing.desk.office.vault
    return Centres(platform.database, vault, terms_of(), platform.identity.caller)


def _labels(platform: Platform) -> bytes:
    issuer = platform.settings.platform
    name = Bilingual(ar=issuer.name_ar, en=issuer.name_en)
    return verify_page.labels(platform.licensing.services, issuer.municipality, name)
