"""Says why a service's certificate must be made anew: SERVICE-PATH DAYS NAME,NAME... ; prints JSON.

The authority's certificate comes on standard input. Without a reason the certificate is good.
"""

import ipaddress
import json
import subprocess
import sys
import tempfile
import time
from email.utils import parsedate_to_datetime
from pathlib import Path


def main():
    path, days, names = sys.argv[1], int(sys.argv[2]), sys.argv[3].split(",")
    certificate, key = Path(path + ".pem"), Path(path + ".key")
    with tempfile.NamedTemporaryFile("w") as authority:
        authority.write(sys.stdin.read())
        authority.flush()
        print(json.dumps(judged(certificate, key, authority.name, days, names)))


def judged(certificate, key, authority, days, names):
    if not certificate.exists():
        return {"reason": "there is no certificate"}
    shown, text = openssl("x509", "-in", certificate, "-noout", "-enddate", "-fingerprint", "-sha256")
    if not shown:
        return {"reason": "the certificate cannot be read"}
    lines = dict(line.split("=", 1) for line in text.splitlines())
    # RFC 5280 dates are in GMT; the month is an English word, and no locale is asked.
    month, day, clock, year, _ = lines["notAfter"].split()
    end = int(parsedate_to_datetime(f"{day} {month} {year} {clock} +0000").timestamp())
    found = {"reason": "", "fingerprint": lines["sha256 Fingerprint"], "not_after": end}
    # A certificate that has ended would fail the check of its chain as well: its end is judged first.
    if end - time.time() < days * 86400:
        found["reason"] = "it ends on " + time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(end))
    elif not openssl("verify", "-x509_strict", "-CAfile", authority, certificate)[0]:
        found["reason"] = "it is not of our present authority"
    elif public("x509", "-pubkey", "-noout", "-in", certificate) != public("pkey", "-pubout", "-in", key):
        found["reason"] = "it is of another key"
    elif wrong := set(names) ^ named(certificate):
        found["reason"] = f"its names are not those wanted ({', '.join(sorted(wrong))})"
    return found


def named(certificate):
    _, text = openssl("x509", "-in", certificate, "-noout", "-ext", "subjectAltName")
    names = set()
    for part in text.splitlines()[-1].strip().split(", "):
        kind, _, name = part.partition(":")
        names.add(str(ipaddress.ip_address(name)) if kind == "IP Address" else name)
    return names


def public(*argv):
    good, text = openssl(*argv)
    return text if good else ""


def openssl(*argv):
    done = subprocess.run(["openssl", *map(str, argv)], capture_output=True, text=True)
    return done.returncode == 0, done.stdout


main()
