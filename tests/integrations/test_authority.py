"""The authority of the centres: what it certifies, and what openssl says of it."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from foundation.errors import InvalidInput, Malformed, SettingsError
from foundation.secret import Secret
from foundation.settings import Http, Licences, Pkcs11, Platform, Settings
from integrations.centres.authority import (
    AUTHORITY_CERTIFICATE,
    AUTHORITY_KEY,
    LIFETIME,
    REASONS,
    Authority,
    Revoked,
    requested_key,
)
from tests.integrations.centre_keys import new_key, openssl, request_for
from tests.processes import ROOT
from tests.soft_token import MODULE, PIN, fresh_token

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        platform=Platform(folder=tmp_path / "platform"), http=Http(public_url="https://api.example.sa/")
    )


@pytest.fixture
def authority(settings: Settings) -> Authority:
    return Authority(settings, settings.secrets())


def _certified(authority: Authority, at: datetime = NOW) -> x509.Certificate:
    return authority.certify(requested_key(request_for(new_key())), "centre-7", at)


def _write(folder: Path, name: str, content: bytes | str) -> str:
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(file)


def test_openssl_verifies_what_it_certifies(authority: Authority, tmp_path: Path) -> None:
    trusted = _write(tmp_path, "ca.pem", authority.certificate_pem())
    pem = _write(tmp_path, "c.pem", _certified(authority).public_bytes(Encoding.PEM))
    done = openssl("verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", trusted, pem)
    assert (done.returncode, done.stdout) == (0, f"{pem}: OK\n"), done.stderr
    # It is for clients, and for nothing else.
    assert openssl("verify", "-purpose", "sslserver", "-CAfile", trusted, pem).returncode != 0
    later = str(int((NOW + LIFETIME + timedelta(days=1)).timestamp()))
    assert "expired" in openssl("verify", "-attime", later, "-CAfile", trusted, pem).stderr


def test_a_certificate_says_whose_it_is_and_where_the_revocations_are(authority: Authority) -> None:
    made = _certified(authority)
    assert [each.value for each in made.subject] == ["centre-7"]
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["urn:rakeeza:centre:centre-7"]
    (place,) = made.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert place.full_name is not None
    assert place.full_name[0].value == "https://api.example.sa/.well-known/rakeeza-centres.crl"
    assert made.not_valid_after_utc - NOW == timedelta(days=397)
    assert made.not_valid_before_utc < NOW
    basic = made.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (basic.critical, basic.value.ca) == (True, False)


def test_no_certificate_outlives_the_authority(authority: Authority) -> None:
    end = authority.certificate.not_valid_after_utc
    assert _certified(authority, end - timedelta(days=30)).not_valid_after_utc == end


def test_a_request_that_openssl_writes_is_taken_and_only_its_key_counts(tmp_path: Path) -> None:
    key = str(tmp_path / "k.pem")
    for kind in (("ec", "-pkeyopt", "ec_paramgen_curve:P-256"), ("rsa:2048",)):
        asked = ("req", "-new", "-newkey", *kind, "-nodes", "-keyout", key, "-subj", "/CN=another-centre")
        made = openssl(*asked)
        public = openssl("pkey", "-in", key, "-pubout").stdout
        form = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        assert requested_key(made.stdout).public_bytes(*form).decode() == public


def test_a_key_of_another_kind_or_too_small_is_refused() -> None:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    small = openssl("req", "-new", "-newkey", "rsa:1024", "-nodes", "-subj", "/CN=x", "-keyout", "/dev/null")
    requests = [
        small.stdout,
        request_for(ec.generate_private_key(ec.SECP384R1())),
        request_for(ec.generate_private_key(ec.SECP256K1())),
        request_for(rsa.generate_private_key(3, 2048)),
    ]
    for request in requests:
        with pytest.raises(InvalidInput, match="a key that is not taken") as refused:
            requested_key(request)
        assert refused.value.message_ar
    edwards = builder.sign(ed25519.Ed25519PrivateKey.generate(), None)
    with pytest.raises(Malformed, match="no request"):
        requested_key(edwards.public_bytes(Encoding.PEM).decode())


def test_a_request_that_its_key_did_not_sign_is_refused() -> None:
    good = x509.load_pem_x509_csr(request_for(new_key()).encode()).public_bytes(Encoding.DER)
    # The last byte is of the signature.
    forged = x509.load_der_x509_csr(good[:-1] + bytes([good[-1] ^ 1])).public_bytes(Encoding.PEM).decode()
    old = openssl(
        "req", "-new", "-sha1", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-keyout", "/dev/null"
    ).stdout
    for text in (forged, old, "", "x", "مركز", request_for(new_key()) + "x" * 20_000):
        with pytest.raises(Malformed, match="no request"):
            requested_key(text)


def test_openssl_reads_the_list_of_revocations(authority: Authority, tmp_path: Path) -> None:
    trusted = authority.certificate_pem()
    kept, gone = _certified(authority), _certified(authority)
    lines = [Revoked(gone.serial_number, NOW, "key_compromise")]
    crl = _write(tmp_path, "r.crl", authority.crl(lines, NOW))
    anchor = _write(tmp_path, "ca.pem", trusted)
    text = openssl("crl", "-inform", "DER", "-in", crl, "-CAfile", anchor, "-noout", "-text")
    assert "verify OK" in text.stderr
    assert "Key Compromise" in text.stdout
    listed = openssl("crl", "-inform", "DER", "-in", crl).stdout
    both = _write(tmp_path, "both.pem", trusted + listed)
    for made, good in ((kept, True), (gone, False)):
        pem = _write(tmp_path, "c.pem", made.public_bytes(Encoding.PEM))
        done = openssl("verify", "-crl_check", "-CAfile", both, pem)
        assert (done.returncode == 0) is good
        assert ("certificate revoked" in done.stderr) is not good


def test_every_reason_is_one_of_the_standard_and_a_later_list_has_a_greater_number(
    authority: Authority,
) -> None:
    lines = [Revoked(number, NOW, reason) for number, reason in enumerate(REASONS, 1)]
    first, second = (
        x509.load_der_x509_crl(authority.crl(lines, at)) for at in (NOW, NOW + timedelta(seconds=1))
    )
    said = []
    for each in first:
        try:
            said.append(each.extensions.get_extension_for_class(x509.CRLReason).value.reason)
        except x509.ExtensionNotFound:
            said.append(x509.ReasonFlags.unspecified)
    assert said == list(REASONS.values())
    numbers = [
        each.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number for each in (first, second)
    ]
    assert numbers[0] < numbers[1]
    assert first.next_update_utc == NOW + timedelta(hours=24)


def test_processes_that_begin_together_get_one_authority(settings: Settings) -> None:
    program = (
        "import sys; from pathlib import Path; from foundation.settings import Platform, Settings\n"
        "from integrations.centres.authority import Authority\n"
        "settings = Settings(platform=Platform(folder=Path(sys.argv[1])))\n"
        "print(Authority(settings, settings.secrets()).certificate_pem())"
    )
    argv = [sys.executable, "-c", program, str(settings.platform.folder)]
    running = [subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = [process.communicate()[0] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0]
    assert said == [said[0]] * 3
    assert "BEGIN CERTIFICATE" in said[0]


def test_an_authority_that_is_damaged_is_not_made_anew(settings: Settings, authority: Authority) -> None:
    secrets = settings.secrets()
    good = {
        name: (authority.certificate, secrets.get(name))[1] for name in (AUTHORITY_KEY, AUTHORITY_CERTIFICATE)
    }
    other = Settings(platform=Platform(folder=settings.platform.folder / "other"))
    stranger = Secret(Authority(other, other.secrets()).certificate_pem())
    for name, bad, said in (
        (AUTHORITY_KEY, Secret("x"), "damaged key"),
        (AUTHORITY_CERTIFICATE, Secret("x"), "is damaged"),
        (AUTHORITY_CERTIFICATE, stranger, "of another key"),
    ):
        secrets.set(name, bad)
        with pytest.raises(SettingsError, match=said):
            _ = Authority(settings, secrets).certificate
        secrets.set(name, good[name])
    assert Authority(settings, secrets).certificate == authority.certificate


def test_its_key_lies_in_a_token_where_the_keys_of_licences_do(settings: Settings, tmp_path: Path) -> None:
    in_token = settings.model_copy(
        update={
            "licences": Licences(key_store="pkcs11"),
            "pkcs11": Pkcs11(module=MODULE, token=fresh_token()),
        }
    )
    secrets = settings.secrets()
    secrets.set("pkcs11-pin", Secret(PIN))
    authority = Authority(in_token, secrets)
    trusted = _write(tmp_path, "ca.pem", authority.certificate_pem())
    pem = _write(tmp_path, "c.pem", _certified(authority).public_bytes(Encoding.PEM))
    assert openssl("verify", "-x509_strict", "-CAfile", trusted, pem).returncode == 0
    assert AUTHORITY_KEY not in secrets.names()
    assert Authority(in_token, secrets).certificate == authority.certificate
    crl = _write(tmp_path, "r.crl", authority.crl([], NOW))
    assert "verify OK" in openssl("crl", "-inform", "DER", "-in", crl, "-CAfile", trusted, "-noout").stderr


def test_the_certificate_of_the_api_is_kept_until_a_third_of_its_time_is_left(authority: Authority) -> None:
    first = authority.server_pem(("localhost", "127.0.0.1"), NOW)
    assert authority.server_pem(("localhost", "127.0.0.1"), NOW + LIFETIME / 2) == first
    later = authority.server_pem(("localhost", "127.0.0.1"), NOW + LIFETIME * 0.7)
    assert later != first
    renamed = authority.server_pem(("api.example.sa",), NOW + LIFETIME * 0.7)
    names = x509.load_pem_x509_certificate(renamed.reveal().encode()).extensions
    dns = names.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    assert dns == ["api.example.sa"]
