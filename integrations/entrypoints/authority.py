"""What others need to judge the certificates of our authority: its own certificate, and what it revoked."""

from fastapi import APIRouter, Response
from sqlalchemy import text

from foundation.database import Database
from foundation.http import PROBLEMS
from integrations.centres.authority import CERTIFICATE_PATH, CRL_PATH
from integrations.centres.certificates import Certificates

_KEPT = {"Cache-Control": "public, max-age=300"}


def router(certificates: Certificates, database: Database) -> APIRouter:
    """The addresses that stand in certificates and in their documentation; no token is needed for them.

    Source: RFC 5280, section 4.2.1.13; RFC 2585, section 4 (types).
    """
    routes = APIRouter(responses=PROBLEMS)

    @routes.get(CRL_PATH, response_class=Response, responses=_binary("application/pkix-crl"))
    def revocations() -> Response:
        """The list of revoked client certificates."""
        with database.transaction() as session:
            now = session.execute(text("SELECT clock_timestamp()")).scalar_one()
            listed = certificates.crl(session, now)
        return Response(listed, media_type="application/pkix-crl", headers=_KEPT)

    @routes.get(CERTIFICATE_PATH, response_class=Response, responses=_binary("application/pkix-cert"))
    def certificate() -> Response:
        """The authority's own certificate."""
        return Response(certificates.authority_der(), media_type="application/pkix-cert", headers=_KEPT)

    return routes


def _binary(kind: str) -> dict[int | str, dict[str, object]]:
    return {
        200: {"description": "DER.", "content": {kind: {"schema": {"type": "string", "format": "binary"}}}}
    }
