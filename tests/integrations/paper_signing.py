"""What tests of signed papers share: keys, papers, a certificate authority and a real time-stamp server."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from foundation.definitions import Bilingual
from foundation.secret import SecretFile
from integrations.licences.certificate import PaperKeys

NOW = datetime(2026, 11, 22, 9, 31, tzinfo=UTC)
NAME = Bilingual(ar="أمانة نموذجية", en="Sample Municipality")

_OPENSSL = """
[tsa]
default_tsa = here
[here]
dir = {folder}
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/tsa.crt
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384
accuracy = secs:1
ess_cert_id_alg = sha256
[tsa_extensions]
extendedKeyUsage = critical,timeStamping
keyUsage = critical,digitalSignature
"""


def paper_keys(folder: Path, municipality: str = "sample", name: Bilingual = NAME) -> PaperKeys:
    """Keys that lie in a folder, for a clock that stands at NOW."""
    folder.mkdir(exist_ok=True, parents=True)
    return PaperKeys(SecretFile(folder / "secrets.json", folder / "key"), municipality, name, lambda: NOW)


class Authority:
    """A certificate authority of two levels, as a national one is."""

    def __init__(self) -> None:
        self.root_key, self.key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        self.root = self._ca("National Root", self.root_key, "National Root", self.root_key)
        self.certificate = self._ca("National Documents", self.key, "National Root", self.root_key)

    def issued(
        self,
        request: str,
        *,
        days: int = 365,
        begins: datetime = NOW - timedelta(days=1),
        usage: bool = True,
    ) -> str:
        """The chain for a request, PEM; `usage` False makes a certificate for encryption alone."""
        asked = x509.load_pem_x509_csr(request.encode())
        made = (
            x509.CertificateBuilder()
            .subject_name(asked.subject)
            .issuer_name(self.certificate.subject)
            .public_key(asked.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(begins + timedelta(days=days))
            .add_extension(
                x509.KeyUsage(usage, usage, not usage, False, False, False, False, False, False),
                critical=True,
            )
            .sign(self.key, hashes.SHA256())
        )
        return pem(made) + pem(self.certificate) + pem(self.root)

    @staticmethod
    def _ca(
        name: str, key: ec.EllipticCurvePrivateKey, above: str, above_key: ec.EllipticCurvePrivateKey
    ) -> x509.Certificate:
        def named(text: str) -> x509.Name:
            return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

        return (
            x509.CertificateBuilder()
            .subject_name(named(name))
            .issuer_name(named(above))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - timedelta(days=400))
            .not_valid_after(NOW + timedelta(days=4_000))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(above_key, hashes.SHA256())
        )


def pem(certificate: x509.Certificate) -> str:
    """A certificate as PEM."""
    return certificate.public_bytes(Encoding.PEM).decode()


@contextmanager
def time_stamp_server(folder: Path) -> Iterator[str]:
    """`openssl ts` behind HTTP; gives its URL. Below /busy it answers 503, below /else with what is no stamp,
    below /denied with a refusal."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "openssl.cnf").write_text(_OPENSSL.format(folder=folder))
    (folder / "serial").write_text("01")
    _openssl(
        folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-days", "3650", "-keyout", "tsa.key", "-out", "tsa.crt", "-subj", "/CN=Test TSA",
        "-extensions", "tsa_extensions", "-config", "req.cnf",
    )  # fmt: skip
    turn = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = self.rfile.read(int(self.headers["Content-Length"]))
            status, answer = 200, b"<html>"
            if self.path == "/busy":
                status = 503
            elif self.path == "/denied":
                # PKIStatusInfo with status 2 (rejection): RFC 3161, section 2.4.2.
                answer = bytes.fromhex("30053003020102")
            elif self.path != "/else":
                with turn:
                    (folder / "query").write_bytes(asked)
                    _openssl(
                        folder,
                        "ts",
                        "-reply",
                        "-queryfile",
                        "query",
                        "-out",
                        "reply",
                        "-config",
                        "openssl.cnf",
                    )
                    answer = (folder / "reply").read_bytes()
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _openssl(folder: Path, *arguments: str) -> None:
    (folder / "req.cnf").write_text(
        "[req]\ndistinguished_name = name\n[name]\n" + (folder / "openssl.cnf").read_text()
    )
    subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, check=True)
