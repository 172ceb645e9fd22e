"""The signature on a licence's PDF: PAdES baseline B-B, or B-T with a time-stamp server.

Apart from `certificate`, and imported where a paper is made: what writes signatures is large. Nothing on the
page or in its metadata changes. The signature certifies the file: readers of PDF then allow no later change.

Source: ETSI EN 319 142-1, sections 5.3 to 6.3; ISO 32000-1, sections 12.7.4.5 and 12.8.
"""

import asyncio
import io
from datetime import datetime

import httpx
from asn1crypto import cms, tsp, x509  # type: ignore[import-untyped] # it ships no types
from pyhanko.pdf_utils.extensions import DeveloperExtension
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import InvisSigSettings, MDPPerm, SigFieldSpec, SigSeedSubFilter
from pyhanko.sign.signers.pdf_cms import PdfCMSSignedAttributes, Signer
from pyhanko.sign.signers.pdf_signer import PdfSignatureMetadata, PdfSigner
from pyhanko.sign.timestamps.api import TimeStamper
from pyhanko.sign.timestamps.common_utils import TimestampRequestError
from pyhanko_certvalidator.registry import SimpleCertificateStore

from foundation.errors import Refused, SettingsError, Unavailable
from integrations.licences.certificate import PaperKey, der_signature

_FIELD = "Signature"
_LABEL = "توقيع الجهة المصدرة – signature of the issuer"  # read aloud
_DIGEST = "sha256"
_FRAME = 1_500  # bytes of a signature beside its certificates
_STAMP = 12_000  # bytes of a time stamp with the certificates of its server
_TIMEOUT = 10.0  # seconds for the time-stamp server
_LARGEST_ANSWER = 100_000  # bytes


def sign(pdf: bytes, key: PaperKey, at: datetime, timestamp_url: str | None = None) -> bytes:
    """A PDF with the municipality's signature.

    Args:
        pdf: as `document.render` makes it; its bytes are the beginning of what comes back.
        key: what to sign with.
        at: the moment, aware; it stands in the file as its time of signing.
        timestamp_url: time-stamp server (RFC 3161); None signs without one.

    Raises:
        SettingsError: the certificate does not hold at that moment.
        Unavailable: the time-stamp server does not answer.
        Refused: the time-stamp server answers otherwise than with a stamp.
    """
    if not key.certificate.covers(at):
        raise SettingsError(
            "The certificate of papers is not valid now.",
            place=key.certificate.leaf.subject.rfc4514_string(),
            remedy="Install another one: rakeeza certificate request, then rakeeza certificate install.",
        )
    signer = PdfSigner(
        PdfSignatureMetadata(
            field_name=_FIELD,
            md_algorithm=_DIGEST,
            subfilter=SigSeedSubFilter.PADES,
            certify=True,
            docmdp_permissions=MDPPerm.NO_CHANGES,
        ),
        _Signer(key),
        timestamper=_Stamps(timestamp_url) if timestamp_url else None,
        new_field_spec=SigFieldSpec(
            _FIELD,
            # PDF/A wants it printed and PDF/UA wants it hidden, unless it lies beside the page.
            invis_sig_settings=InvisSigSettings(box_out_of_bounds=True),
            readable_field_name=_LABEL,
        ),
    )
    room = _FRAME + sum(len(one) for one in key.certificate.chain) + (_STAMP if timestamp_url else 0)
    out = io.BytesIO()
    asyncio.run(_signed(signer, _Writer(io.BytesIO(pdf)), at, room, out))
    return out.getvalue()


async def _signed(signer: PdfSigner, writer: "_Writer", at: datetime, room: int, out: io.BytesIO) -> None:
    session = signer.init_signing_session(writer)
    session.system_time = at
    # The room is counted in the characters that write it, two a byte.
    document = session.prepare_tbs_document(validation_info=None, bytes_reserved=2 * room)
    digest, stream = document.digest_tbs_document(output=out)
    await document.perform_signature(
        digest.document_digest, pdf_cms_signed_attrs=PdfCMSSignedAttributes(signing_time=at)
    )
    assert stream is out


class _Writer(IncrementalPdfFileWriter):
    """Adds the signature and nothing else: title, dates and the declared standards stay as they were made."""

    def _update_meta(self) -> None:
        # Written anew, the metadata would name another producer and lose the form that PDF/A asks of it.
        return

    def ensure_output_version(self, version: tuple[int, int]) -> None:  # noqa: ARG002 -- its signature
        # PDF/A-2 is PDF 1.7. The signature needs nothing newer but its curve, which PAdES has for 1.7 too.
        return

    def register_extension(self, ext: DeveloperExtension) -> None:
        if ext.base_version == "/1.7":
            super().register_extension(ext)


class _Signer(Signer):
    """Signs with whatever holds the key."""

    def __init__(self, key: PaperKey) -> None:
        leaf, *above = (x509.Certificate.load(one) for one in key.certificate.chain)
        store = SimpleCertificateStore()  # type: ignore[no-untyped-call]
        store.register_multiple(above)
        # Whoever trusts a root has it. Source: RFC 5652, section 5.1 (certificates).
        super().__init__(signing_cert=leaf, cert_registry=store, embed_roots=False)
        self._key = key.signer

    async def async_sign_raw(self, data: bytes, digest_algorithm: str, dry_run: bool = False) -> bytes:
        assert digest_algorithm == _DIGEST, "the key signs with SHA-256"
        return bytes(72) if dry_run else der_signature(self._key.sign(data))


class _Stamps(TimeStamper):
    """Asks a time-stamp server.

    Source: RFC 3161, section 3.4 (over HTTP).
    """

    def __init__(self, url: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._url = url

    async def async_timestamp(self, message_digest: bytes, md_algorithm: str) -> cms.ContentInfo:
        try:
            stamp = await super().async_timestamp(message_digest, md_algorithm)
            imprint = stamp["content"]["encap_content_info"]["content"].parsed["message_imprint"]
            same = imprint["hashed_message"].native == message_digest
        except (TimestampRequestError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise self._refused() from error
        if not same:
            raise self._refused()
        return stamp

    async def async_request_tsa_response(self, req: tsp.TimeStampReq) -> tsp.TimeStampResp:
        headers = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
        try:
            async with httpx.AsyncClient(timeout=_TIMEOUT) as client:
                answer = await client.post(self._url, content=req.dump(), headers=headers)
        except httpx.HTTPError as error:
            raise Unavailable(
                "The time-stamp server does not answer.",
                place=self._url,
                remedy="The paper is made when it does; or unset licences.timestamp_url.",
            ) from error
        if answer.status_code >= 500:
            raise Unavailable(
                f"The time-stamp server answers {answer.status_code}.",
                place=self._url,
                remedy="The paper is made when it works again; or unset licences.timestamp_url.",
            )
        if answer.status_code != 200 or len(answer.content) > _LARGEST_ANSWER:
            raise self._refused()
        return tsp.TimeStampResp.load(answer.content)

    def _refused(self) -> Refused:
        return Refused(
            "The time-stamp server gave no stamp for this signature.",
            place=self._url,
            remedy="Check that licences.timestamp_url is an RFC 3161 server that stamps SHA-256.",
        )
