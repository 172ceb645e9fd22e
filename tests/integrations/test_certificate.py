"""The certificate of papers: made once, asked for, installed; and its key in a token."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtensionOID, NameOID

from foundation.definitions import Bilingual
from foundation.errors import Conflict, Malformed, SettingsError
from foundation.secret import Secret, SecretFile
from foundation.settings import Licences, Pkcs11, Platform, Settings
from foundation.wire.paper_certificates import CERTIFICATES_FILE, PaperCertificates
from foundation.wire.paper_check import PaperAnswer, check_paper
from integrations.licences import certificate as certificates
from integrations.licences.certificate import (
    PAPER_CERTIFICATE,
    own_certificates,
    trusted_certificates,
)
from integrations.licences.document import render
from integrations.licences.paper_signature import sign
from tests.integrations.paper_signing import NAME, NOW, Authority, paper_keys, pem
from tests.integrations.test_document import CLAIMS, FONTS, LICENCE
from tests.soft_token import MODULE, PIN, fresh_token


def test_the_certificate_names_the_municipality_in_both_languages_and_is_for_documents(
    tmp_path: Path,
) -> None:
    leaf = paper_keys(tmp_path).current().certificate.leaf

    def named(oid: x509.ObjectIdentifier) -> str:
        return str(leaf.subject.get_attributes_for_oid(oid)[0].value)

    assert named(NameOID.ORGANIZATION_NAME) == NAME.ar
    assert named(NameOID.COMMON_NAME) == NAME.en
    assert named(NameOID.ORGANIZATION_IDENTIFIER) == "MU:SA-sample"
    assert named(NameOID.COUNTRY_NAME) == "SA"
    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature
    assert usage.content_commitment
    assert not usage.key_cert_sign
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert leaf.not_valid_before_utc <= NOW
    assert leaf.not_valid_after_utc.year == NOW.year + 10
    leaf.verify_directly_issued_by(leaf)


def test_a_long_name_still_makes_a_certificate(tmp_path: Path) -> None:
    long = Bilingual(ar="أمانة المنطقة " * 9, en="Municipalité de la région " * 9)
    leaf = paper_keys(tmp_path, name=long).current().certificate.leaf
    assert str(leaf.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value) == long.ar[:64]
    assert long.en.startswith(str(leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value))


def test_of_many_that_begin_together_one_makes_it(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: paper_keys(tmp_path).current().certificate.fingerprint, range(8)))
    assert len(made) == 1


def test_openssl_takes_the_request_and_its_names(tmp_path: Path) -> None:
    (tmp_path / "request.pem").write_text(paper_keys(tmp_path / "keys").request())
    told = subprocess.run(
        ["openssl", "req", "-in", "request.pem", "-verify", "-noout", "-text", "-nameopt", "utf8"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "verify OK" in told.stdout + told.stderr
    assert f"O={NAME.ar}" in told.stdout
    assert "Digital Signature, Non Repudiation" in told.stdout


def test_an_installed_certificate_signs_and_the_one_before_stays_trusted(tmp_path: Path) -> None:
    keys = paper_keys(tmp_path)
    page = render(LICENCE, FONTS)
    before = keys.current()
    old = sign(page, before, NOW)
    after = keys.install(Authority().issued(keys.request()))
    assert after.certificate.fingerprint != before.certificate.fingerprint
    assert after.certificate.leaf.issuer != after.certificate.leaf.subject
    assert len(after.certificate.chain) == 3
    assert paper_keys(tmp_path).current().certificate == after.certificate
    mine = own_certificates(SecretFile(tmp_path / "secrets.json", tmp_path / "key"), "sample")
    assert {one.fingerprint for one in mine} == {one.certificate.fingerprint for one in (before, after)}
    for paper in (old, sign(page, after, NOW)):
        assert check_paper(paper, mine, CLAIMS).answer is PaperAnswer.INTACT


def test_what_is_no_certificate_of_ours_is_not_installed(tmp_path: Path) -> None:
    keys, authority = paper_keys(tmp_path / "ours"), Authority()
    kept = keys.current().certificate
    request = keys.request()
    chain = x509.load_pem_x509_certificates(authority.issued(request).encode())
    with pytest.raises(Conflict, match="another key"):
        keys.install(authority.issued(paper_keys(tmp_path / "theirs").request()))
    with pytest.raises(Conflict, match="not now"):
        keys.install(authority.issued(request, begins=NOW - timedelta(days=30), days=20))
    with pytest.raises(Conflict, match="not now"):
        keys.install(authority.issued(request, begins=NOW + timedelta(days=1)))
    with pytest.raises(Conflict, match="not for signing"):
        keys.install(authority.issued(request, usage=False))
    for text in (
        "",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        request,
        # The root does not stand above the municipality's own, and another authority's above neither.
        pem(chain[0]) + pem(chain[2]),
        pem(chain[0]) + pem(Authority().certificate),
        pem(chain[0]) * 11,
    ):
        with pytest.raises(Malformed, match="no chain"):
            keys.install(text)
    assert keys.current().certificate == kept


def test_a_certificate_of_another_key_or_a_damaged_one_is_not_signed_with(tmp_path: Path) -> None:
    keys = paper_keys(tmp_path / "ours")
    keys.current()
    secrets = SecretFile(tmp_path / "ours" / "secrets.json", tmp_path / "ours" / "key")
    secrets.set(PAPER_CERTIFICATE, Secret(paper_keys(tmp_path / "theirs").current().certificate.to_pem()))
    with pytest.raises(SettingsError, match="another key"):
        keys.current()
    secrets.set(PAPER_CERTIFICATE, Secret("-----BEGIN CERTIFICATE-----"))
    with pytest.raises(SettingsError, match="damaged"):
        keys.current()
    with pytest.raises(SettingsError, match="damaged"):
        own_certificates(secrets, "sample")


def test_a_certificate_that_cannot_be_used_is_mended_by_installing_another(tmp_path: Path) -> None:
    keys, authority = paper_keys(tmp_path / "ours"), Authority()
    secrets = SecretFile(tmp_path / "ours" / "secrets.json", tmp_path / "ours" / "key")
    secrets.set(PAPER_CERTIFICATE, Secret("-----BEGIN CERTIFICATE-----"))
    assert keys.install(authority.issued(keys.request())).certificate == keys.current().certificate
    other = paper_keys(tmp_path / "theirs").current().certificate
    secrets.set(PAPER_CERTIFICATE, Secret(other.to_pem()))
    mended = keys.install(authority.issued(keys.request())).certificate
    assert keys.current().certificate == mended
    # Whatever stood there may have signed papers.
    assert own_certificates(secrets, "sample").get(other.fingerprint) is not None


def test_a_certificate_whose_extensions_cannot_be_read_is_refused(tmp_path: Path) -> None:
    keys, authority = paper_keys(tmp_path), Authority()
    asked = x509.load_pem_x509_csr(keys.request().encode())
    made = (
        x509.CertificateBuilder()
        .subject_name(asked.subject)
        .issuer_name(authority.certificate.subject)
        .public_key(asked.public_key())
        .serial_number(9)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(x509.UnrecognizedExtension(ExtensionOID.KEY_USAGE, b"\x01"), critical=True)
        .sign(authority.key, hashes.SHA256())
    )
    with pytest.raises(Malformed, match="no chain"):
        keys.install(pem(made) + pem(authority.certificate))


def test_trusted_are_our_own_and_those_of_the_file(tmp_path: Path) -> None:
    settings = Settings(platform=Platform(folder=tmp_path / "platform"))
    settings.platform.folder.mkdir()
    assert len(trusted_certificates(settings)) == 0
    assert list(settings.platform.folder.iterdir()) == []
    other = paper_keys(tmp_path / "other", "jazan").current().certificate
    file = settings.platform.folder / CERTIFICATES_FILE
    file.write_text(PaperCertificates([other]).to_json())
    mine = certificates.paper_keys(settings).current().certificate
    assert {one.municipality for one in trusted_certificates(settings)} == {"sample", "jazan"}
    assert mine.fingerprint in {one.fingerprint for one in trusted_certificates(settings)}
    file.write_text("{}")
    with pytest.raises(Malformed):
        trusted_certificates(settings)


def test_a_key_in_a_token_signs_papers_and_requests(tmp_path: Path) -> None:
    settings = with_token(tmp_path)
    keys = certificates.paper_keys(settings, lambda: NOW)
    assert "BEGIN CERTIFICATE REQUEST" in keys.request()
    paper = sign(render(LICENCE, FONTS), keys.current(), NOW)
    assert check_paper(paper, trusted_certificates(settings), CLAIMS).answer is PaperAnswer.INTACT
    # The secrets file has a certificate and the PIN, and no key.
    assert settings.secrets().names() == [f"{PAPER_CERTIFICATE}-token", "pkcs11-pin"]
    again = certificates.paper_keys(settings, lambda: NOW).current()
    assert again.certificate == keys.current().certificate


def test_of_many_that_begin_together_one_makes_the_key_in_the_token(tmp_path: Path) -> None:
    settings = with_token(tmp_path)
    shared = certificates.paper_keys(settings, lambda: NOW)
    with ThreadPoolExecutor(6) as pool:
        each_its_own = pool.map(lambda _: certificates.paper_keys(settings, lambda: NOW).current(), range(3))
        made = [*each_its_own, *pool.map(lambda _: shared.current(), range(3))]
    assert len({key.certificate.fingerprint for key in made}) == 1


def with_token(folder: Path) -> Settings:
    """Settings that name a token of SoftHSM with its PIN."""
    settings = Settings(
        platform=Platform(folder=folder / "platform"),
        licences=Licences(key_store="pkcs11"),
        pkcs11=Pkcs11(module=MODULE, token=fresh_token()),
    )
    settings.platform.folder.mkdir()
    settings.secrets().set("pkcs11-pin", Secret(PIN))
    return settings
