"""The signatures in a file, found and verified over its bytes alone, before anything reads it as PDF.

What a trusted signature covers whole can be read without fear; what it does not cover is anybody's. So no
answer that a paper is genuine rests on how a reader of PDF understands the file.

Source: ISO 32000-1, section 12.8.1 (byte ranges); RFC 5652 (CMS); RFC 3161 (time stamps).
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import NamedTuple

from asn1crypto import cms, core  # type: ignore[import-untyped] # it ships no types
from pyhanko.sign.general import extract_certificate_info, extract_signer_info
from pyhanko.sign.validation.generic_cms import extract_tst_data_iter, validate_sig_integrity

from foundation.definitions import Bilingual

_RANGE = re.compile(rb"/ByteRange\s*\[\s*0\s+(\d{1,9})\s+(\d{1,9})\s+(\d{1,9})\s*\]")
# Beside its signature PAdES has the moment in the file, and not in the CMS (EN 319 142-1, section 6.3).
_MOMENT = re.compile(rb"/M\s*\(D(?::|\\072)(\d{14})(?:Z|([+-]\d\d)'(\d\d)'?)\)")
_NEAR = 2_000  # bytes of what describes a signature
_DIGESTS = ("sha256", "sha384", "sha512")
_MOST = 8  # signatures looked at, each of which costs a digest of the file
_LARGEST = 200_000  # letters of one signature
_LONGEST_NAME = 120


@dataclass(frozen=True)
class Stamp:
    """What a time-stamp server said of a signature; whose server it was is not judged.

    Args:
        at: the moment, aware; None where the stamp is broken, or another signature's.
    """

    at: datetime | None


@dataclass(frozen=True)
class Seal:
    """A signature that holds for the beginning of a file.

    Args:
        end: bytes from the file's beginning that it covers, all but the place of the signature itself.
        fingerprint: SHA-256 of the certificate it is verified with.
        signer: who the certificate says signed; Arabic from the organization, English from the common name.
        signed_at: when the signer says he signed, aware; None where he does not.
        stamp: None where no server stamped it.
    """

    end: int
    fingerprint: bytes
    signer: Bilingual
    signed_at: datetime | None
    stamp: Stamp | None


def seals(data: bytes) -> list[Seal]:
    """The signatures in a file that hold, those that cover more of it first.

    A file of anybody may be given: what looks like a signature and is none, is left out.
    """
    found = (_seal(data, place) for place in islice(_places(data), _MOST))
    return sorted((each for each in found if each is not None), key=lambda each: -each.end)


def looks_signed(data: bytes) -> bool:
    """Whether a signature is in the file, if only a broken one."""
    return b"/ByteRange" in data


class _Place(NamedTuple):
    """Where a signature stands, from `first` to `second`, and where what it covers ends."""

    first: int
    second: int
    end: int


def _places(data: bytes) -> Iterator[_Place]:
    """Nothing but the place is left out of what is signed: a paper whose signature covers less is none."""
    for match in _RANGE.finditer(data):
        first, second, length = (int(each) for each in match.groups())
        end = second + length
        if first + 2 < second <= first + _LARGEST and end <= len(data):
            yield _Place(first, second, end)


def _seal(data: bytes, place: _Place) -> Seal | None:
    try:
        whole = _written(data[place.first : place.second])
        signed = cms.ContentInfo.load(whole)
        # Zeros fill the place. Anything else there would be unsigned, and could be anything.
        if whole[len(signed.dump()) :].strip(b"\0") or signed["content_type"].native != "signed_data":
            return None
        return _verified(data, place, signed["content"])
    except Exception:  # noqa: BLE001 -- parsers of ASN.1 fail over bytes of anybody as they like
        return None


def _written(place: bytes) -> bytes:
    if (place[:1], place[-1:]) != (b"<", b">") or not re.fullmatch(rb"[0-9A-Fa-f]+", place[1:-1]):
        raise ValueError("a signature is written in hexadecimal digits, without a space")
    return bytes.fromhex(place[1:-1].decode("ascii"))


def _verified(data: bytes, place: _Place, signed: cms.SignedData) -> Seal | None:
    info, certificate = extract_signer_info(signed), extract_certificate_info(signed).signer_cert
    digest_name = info["digest_algorithm"]["algorithm"].native
    # Without signed attributes, what is signed could as well have been a certificate of the same key.
    if digest_name not in _DIGESTS or info["signed_attrs"] is core.VOID:
        return None
    covered = memoryview(data)
    digest = hashlib.new(digest_name, covered[: place.first])
    digest.update(covered[place.second : place.end])
    if not all(validate_sig_integrity(info, certificate, "data", digest.digest())):
        return None
    said = _said(data[place.second : min(place.end, place.second + _NEAR)])
    return Seal(place.end, certificate.sha256, _signer(certificate), said, _stamp(info))


def _signer(certificate: cms.Certificate) -> Bilingual:
    names = {key: _shown(str(value)) for key, value in certificate.subject.native.items()}
    common = names.get("common_name", "")
    organization = names.get("organization_name", common)
    return Bilingual(ar=organization, en=common or organization)


def _shown(name: str) -> str:
    # A stranger's certificate may hold a book, or what steers a terminal.
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in name[:_LONGEST_NAME])


def _said(description: bytes) -> datetime | None:
    found = _MOMENT.search(description)
    if found is None:
        return None
    digits, hours, minutes = (part.decode("ascii") if part else "" for part in found.groups())
    offset = f"{hours or '+00'}{minutes or '00'}"
    return datetime.strptime(f"{digits}{offset}", "%Y%m%d%H%M%S%z")


def _stamp(info: cms.SignerInfo) -> Stamp | None:
    # Anybody can add, damage or take off a stamp: it lies outside of what the signer signed.
    # Source: RFC 3161, section 2.4.2; ETSI EN 319 122-1, section 5.3 (signature-time-stamp).
    try:
        stamps = list(extract_tst_data_iter(info, signed=False))
        return Stamp(_stamped(stamps[0], info["signature"].native)) if stamps else None
    except Exception:  # noqa: BLE001 -- parsers of ASN.1 fail over bytes of anybody as they like
        return Stamp(None)


def _stamped(stamp: cms.SignedData, signature: bytes) -> datetime | None:
    content = stamp["encap_content_info"]["content"]
    told, signer = content.parsed, extract_signer_info(stamp)
    imprint = told["message_imprint"]
    used, inner = (
        each["algorithm"].native for each in (imprint["hash_algorithm"], signer["digest_algorithm"])
    )
    if used not in _DIGESTS or inner not in _DIGESTS:
        return None
    if hashlib.new(used, signature).digest() != imprint["hashed_message"].native:
        return None
    certificate = extract_certificate_info(stamp).signer_cert
    digest = hashlib.new(inner, bytes(content)).digest()
    if not all(validate_sig_integrity(signer, certificate, "tst_info", digest)):
        return None
    moment: datetime = told["gen_time"].native
    return moment
