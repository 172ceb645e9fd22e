"""The options of one back-end."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from foundation.settings_section import Section


class Backend(Section):
    """A back-end that checks and messages go through, under the name that definitions call it by.

    These sections have names of their own, `[backends.NAME]`, and stand only in the file.
    """

    url: str = Field(pattern=r"^https?://[^\s]+$", description="URL that questions are posted to.")
    driver: str = Field("rest_registry", description="Module of `integrations/backends` that speaks with it.")
    timeout: float = Field(10.0, gt=0, le=120, description="Seconds to wait for it at each step of a call.")
    total: float | None = Field(
        None,
        gt=0,
        le=600,
        description="Seconds that a question may take in all, sent again or not; without it, three times "
        "`timeout`.",
    )
    attempts: int = Field(
        2, ge=1, le=5, description="Times that a question is sent at once, where sending it again can help."
    )
    places: int = Field(
        3,
        ge=1,
        le=200,
        description="Questions under way at the same time in one process; a further one is put off.",
    )
    failures: int = Field(
        5,
        ge=0,
        le=1_000,
        description="Questions in a row without an answer after which it is left alone; 0 never leaves it.",
    )
    pause: float = Field(
        30.0, gt=0, le=600, description="Seconds that it is left alone; twice as long each time in a row."
    )
    keep: float = Field(
        0.0,
        ge=0,
        le=86_400,
        description="Seconds that an answer is kept for the same question, where the driver lets it be kept.",
    )
    secret: str | None = Field(None, description="Name of the secret that is sent as bearer token.")
    ca: Path | None = Field(
        None, description="PEM file with the only authority whose TLS certificates it may show."
    )
    certificate: Path | None = Field(
        None, description="PEM file with the certificate that we show it, and those above it."
    )
    key: Path | None = Field(
        None, description="PEM file with its key; without it the key is in the certificate's file."
    )
    sender: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9 ._-]{1,11}$",
        description="Name that text messages come from, where the operator lets us choose (driver `sms`).",
    )
    signed: Literal["no", "jws", "http"] = Field(
        "no",
        description="How its answers are signed: not at all, by a detached JWS (RFC 7515, 7797), or as HTTP "
        "messages (RFC 9421).",
    )
    answer_keys: Path | None = Field(
        None, description="PEM file with the public keys or certificates by which it signs."
    )

    @model_validator(mode="after")
    def _whole(self) -> "Backend":
        if (self.signed == "no") != (self.answer_keys is None):
            raise ValueError("signed and answer_keys go together")
        if self.key is not None and self.certificate is None:
            raise ValueError("a key is a certificate's")
        secured = self.url.lower().startswith("https:")
        if not secured and (self.ca or self.certificate):
            raise ValueError("ca and certificate are for a URL that begins with https:")
        return self

    @property
    def whole_time(self) -> float:
        """Seconds that a question may take in all."""
        return 3 * self.timeout if self.total is None else self.total
