"""`rakeeza authority`, as the playbook calls it: without a database, by a request on standard input."""

import subprocess
from pathlib import Path

from cryptography import x509

from tests.console.rakeeza_types import Rakeeza

pytest_plugins = ["tests.console.rakeeza_command"]


def test_a_request_on_standard_input_is_certified_for_the_names_given(
    rakeeza: Rakeeza, tmp_path: Path
) -> None:
    words = ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    words += ["-keyout", str(tmp_path / "key"), "-subj", "/CN=whatever"]
    request = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    done = rakeeza("authority", "certify", "--days", "7", "db-1", "10.0.0.5", text=request)
    assert done.code == 0, done.err
    leaf, above = x509.load_pem_x509_certificates(done.out.encode())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["db-1"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.5"]
    shown = rakeeza("authority", "show")
    assert x509.load_pem_x509_certificate(shown.out.encode()) == above


def test_what_is_no_request_is_said_in_one_sentence(rakeeza: Rakeeza) -> None:
    done = rakeeza("authority", "certify", "db-1", text="no request")
    assert done.code != 0
    assert "This is no request for a certificate" in done.err
    assert done.out == ""
