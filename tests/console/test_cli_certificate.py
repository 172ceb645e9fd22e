"""`rakeeza certificate`: the certificate of papers shown, asked for and installed."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from foundation.wire.paper_certificates import PaperCertificates
from tests.console.rakeeza_types import Rakeeza
from tests.integrations.paper_signing import Authority

pytest_plugins = ["tests.console.rakeeza_command"]


def shown(rakeeza: Rakeeza) -> list[dict[str, str]]:
    """The rows of `certificate show`."""
    done = rakeeza("certificate", "show", "--format", "json")
    assert done.code == 0, done.err
    rows: list[dict[str, str]] = json.loads(done.out)
    return rows


def test_the_first_certificate_is_made_by_asking_and_signs_itself(rakeeza: Rakeeza) -> None:
    (row,) = shown(rakeeza)
    assert row["issued_by"] == "itself"
    assert row["use"] == "signs"
    assert "أمانة نموذجية" in row["subject"]
    assert shown(rakeeza) == [row]


def test_a_certificate_of_an_authority_is_asked_for_and_installed(rakeeza: Rakeeza, tmp_path: Path) -> None:
    (first,) = shown(rakeeza)
    file = tmp_path / "request.pem"
    assert rakeeza("certificate", "request", "--output", str(file)).code == 0
    assert rakeeza("certificate", "request").out.startswith("-----BEGIN CERTIFICATE REQUEST-----")
    chain = tmp_path / "chain.pem"
    chain.write_text(Authority().issued(file.read_text(), begins=datetime.now(UTC) - timedelta(days=1)))
    done = rakeeza("certificate", "install", str(chain))
    assert done.code == 0, done.err
    assert "Papers are signed as" in done.out
    rows = {row["use"]: row for row in shown(rakeeza)}
    assert rows["signs"]["issued_by"] == "CN=National Documents"
    assert rows["verifies"]["certificate"] == first["certificate"]
    exported = PaperCertificates.from_json(rakeeza("certificate", "export").out)
    assert {one.fingerprint.hex()[:16] for one in exported} == {row["certificate"] for row in rows.values()}


def test_what_is_no_certificate_of_ours_is_refused_in_a_sentence(rakeeza: Rakeeza, tmp_path: Path) -> None:
    (first,) = shown(rakeeza)
    file = tmp_path / "chain.pem"
    file.write_text("nothing")
    done = rakeeza("certificate", "install", str(file))
    assert done.code != 0
    assert "no chain of certificates" in done.err
    done = rakeeza("certificate", "install", str(tmp_path / "none.pem"))
    assert done.code != 0
    assert "cannot be read" in done.err
    assert shown(rakeeza) == [first]


def test_the_exported_certificate_is_what_the_request_asked_for(rakeeza: Rakeeza) -> None:
    request = x509.load_pem_x509_csr(rakeeza("certificate", "request").out.encode())
    (one,) = PaperCertificates.from_json(rakeeza("certificate", "export").out)
    assert one.leaf.subject == request.subject
    assert one.leaf.public_key() == request.public_key()
