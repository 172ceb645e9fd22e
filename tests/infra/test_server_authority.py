"""The authority of our servers: what openssl says of its certificates, and what it refuses to certify."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from foundation.errors import InvalidInput, Malformed, SettingsError
from foundation.secret import Secret, SecretFile
from infra.server_authority import AUTHORITY, ServerAuthority

NOW = datetime.now(UTC)


@pytest.fixture
def secrets(tmp_path: Path) -> SecretFile:
    return SecretFile(tmp_path / "secrets.json", tmp_path / "secrets.key")


@pytest.fixture
def authority(secrets: SecretFile) -> ServerAuthority:
    return ServerAuthority(("riyadh", "Municipality of Riyadh"), secrets)


def _request(folder: Path, *options: str) -> str:
    words = [
        "openssl",
        "req",
        "-new",
        "-nodes",
        "-keyout",
        str(folder / "key"),
        "-subj",
        "/CN=another.example",
    ]
    words += ["-addext", "subjectAltName=DNS:another.example"]
    key = options or ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
    return subprocess.run([*words, *key], capture_output=True, text=True, check=True).stdout


def test_openssl_verifies_the_chain_for_the_names_that_we_say_and_no_others(
    authority: ServerAuthority, tmp_path: Path
) -> None:
    chain = authority.certify(_request(tmp_path), ["db-1", "10.0.0.5", "db.example"], 90, NOW)
    (tmp_path / "chain.pem").write_text(chain)
    (tmp_path / "authority.pem").write_text(authority.certificate_pem())

    def verifies(*words: str) -> bool:
        line = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", "authority.pem"]
        done = subprocess.run([*line, *words, "chain.pem"], cwd=tmp_path, capture_output=True, check=False)
        return done.returncode == 0

    assert verifies()
    assert verifies("-verify_hostname", "db-1")
    assert verifies("-verify_hostname", "db.example")
    assert verifies("-verify_ip", "10.0.0.5")
    assert not verifies("-verify_hostname", "another.example")
    leaf, above = x509.load_pem_x509_certificates(chain.encode())
    assert leaf.not_valid_after_utc == NOW.replace(microsecond=0) + timedelta(days=90)
    assert leaf.issuer == above.subject
    purpose = ["openssl", "verify", "-purpose", "sslclient", "-CAfile", "authority.pem", "chain.pem"]
    assert subprocess.run(purpose, cwd=tmp_path, capture_output=True, check=False).returncode != 0


def test_it_is_the_same_authority_the_next_time(secrets: SecretFile, authority: ServerAuthority) -> None:
    again = ServerAuthority(("riyadh", "Municipality of Riyadh"), secrets)
    assert again.certificate_pem() == authority.certificate_pem()
    assert "PRIVATE" not in again.certificate_pem()


@pytest.mark.parametrize("name", ["", "*.example", "db_1", "DB-1", "db-1:443", "a" * 64, "db..example"])
def test_what_is_no_name_of_a_server_is_not_certified(
    authority: ServerAuthority, tmp_path: Path, name: str
) -> None:
    with pytest.raises(InvalidInput, match="no name of a server"):
        authority.certify(_request(tmp_path), ["db-1", name], 90, NOW)


@pytest.mark.parametrize("days", [0, -1, 398])
def test_a_certificate_does_not_last_for_ever(authority: ServerAuthority, tmp_path: Path, days: int) -> None:
    with pytest.raises(InvalidInput, match="from 1 to 397 days"):
        authority.certify(_request(tmp_path), ["db-1"], days, NOW)


def test_a_request_that_was_changed_is_refused(authority: ServerAuthority, tmp_path: Path) -> None:
    request = x509.load_pem_x509_csr(_request(tmp_path).encode())
    changed = bytearray(request.public_bytes(Encoding.DER))
    # Within the name, which the signature covers.
    place = changed.index(b"another")
    changed[place : place + 7] = b"somehow"
    (tmp_path / "changed.der").write_bytes(changed)
    words = ["openssl", "req", "-inform", "DER", "-in", str(tmp_path / "changed.der")]
    pem = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    for wrong in (pem, "", "no request"):
        with pytest.raises(Malformed, match="no request for a certificate"):
            authority.certify(wrong, ["db-1"], 90, NOW)


def test_a_key_of_another_kind_is_refused(authority: ServerAuthority, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="key that is not taken"):
        authority.certify(_request(tmp_path, "-newkey", "rsa:2048"), ["db-1"], 90, NOW)


def test_a_damaged_authority_is_told_of(secrets: SecretFile, authority: ServerAuthority) -> None:
    authority.certificate_pem()
    secrets.set(AUTHORITY, Secret("damaged"))
    with pytest.raises(SettingsError, match="is damaged"):
        ServerAuthority(("riyadh", "Municipality of Riyadh"), secrets).certificate_pem()
