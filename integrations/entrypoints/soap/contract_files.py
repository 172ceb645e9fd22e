"""Serves the contract of the SOAP face: `?wsdl` and `?xsd`, with the address at which it is asked for.

Source: WSDL 1.1, section 3.8 (soap:address); RFC 9110, section 13.1.2 (If-None-Match).
"""

import hashlib
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from xml.sax.saxutils import quoteattr

from starlette.types import Scope

from integrations.contracts import LICENSING

WSDL, XSD = LICENSING.with_name("licensing.wsdl"), LICENSING.with_name("licensing.xsd")

_ADDRESS = re.compile(r"(<(?:\w+:)?address\s+location=)\"[^\"]*\"")
_SCHEMA = re.compile(r"(schemaLocation=)\"licensing\.xsd\"")
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")


def served(query: bytes, address: str) -> tuple[str, bytes] | None:
    """A file of the contract.

    Args:
        query: of the request; `wsdl` or `xsd`, in any letters.
        address: of the SOAP face, as others reach it.

    Returns:
        Its ETag and octets; None where the query asks for neither.
    """
    wanted = query.decode("latin-1").lower()
    files = {"wsdl": WSDL, "xsd": XSD}
    return _written(files[wanted], address) if wanted in files else None


def address_of(scope: Scope, headers: Mapping[str, str], public_url: str | None) -> str:
    """The address of the SOAP face: the platform's public URL, or else how this request reached it."""
    if public_url:
        return f"{public_url.rstrip('/')}{scope['path']}"
    host = headers.get("host", "")
    if not _HOST.fullmatch(host):
        name, port = scope.get("server") or ("localhost", None)
        host = f"{name}:{port}" if port else str(name)
    return f"{scope.get('scheme', 'http')}://{host}{scope['path']}"


@lru_cache(maxsize=32)
def _written(path: Path, address: str) -> tuple[str, bytes]:
    text = path.read_text(encoding="utf-8")
    text = _ADDRESS.sub(lambda found: found[1] + quoteattr(address), text)
    text = _SCHEMA.sub(lambda found: found[1] + quoteattr(f"{address}?xsd"), text)
    octets = text.encode()
    return f'"{hashlib.sha256(octets).hexdigest()[:32]}"', octets
