"""Options of the infrastructure: plays, when changes may be made, and the mail server that tells of them."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from foundation.settings_section import Port, Section


class Plays(Section):
    """Ansible."""

    folders: tuple[Path, ...] = Field(
        (), description="More folders with playbooks, searched after the product's own."
    )
    keep_runs: int = Field(200, ge=1, description="Runs whose artifacts are kept.")
    keep_days: int = Field(365, ge=1, description="Days that a run's artifacts are kept.")
    keep_megabytes: int = Field(
        2_000, ge=10, description="Artifacts of all runs together, in MB; the oldest go when there are more."
    )
    forks: int = Field(20, ge=1, le=500, description="Hosts that one run works on at the same time.")
    slice_hosts: int = Field(
        100, ge=1, le=10_000, description="Hosts of one part of a run that may be cut into parts."
    )
    site_runs: int = Field(4, ge=1, le=100, description="Runs performed at the same time at one site.")
    threads: int = Field(8, ge=1, le=100, description="Runs that one worker performs at the same time.")
    sites: tuple[str, ...] = Field(
        (),
        description="Sites whose runs this worker performs; none is every site, and hosts of none.",
    )
    secrets_folders: tuple[Path, ...] = Field(
        (), description="Folders with secret variables: GROUP or HOST, .vault.yml (ansible-vault) or .age."
    )
    age_identities: tuple[Path, ...] = Field((), description="Files with the age keys that open .age files.")
    notify: tuple[str, ...] = Field(
        (), description="Who is told of plays: mailto:NAME@HOST, or the https URL of a webhook."
    )


class Changes(Section):
    """Change windows and freezes."""

    folders: tuple[Path, ...] = Field(
        (), description="More folders with change calendars, searched after the product's own."
    )
    calendar: str = Field("municipality", description="Name of the change calendar that holds.")


class Mail(Section):
    """The mail server that notices are given to."""

    host: str | None = Field(None, description="Mail server (SMTP); without it no mail is sent.")
    port: Port = Field(587, description="Port of the mail server.")
    security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="starttls, tls from the first byte, or none (loopback only)."
    )
    user: str | None = Field(None, description="Name we sign in with; without it we do not sign in.")
    password_secret: str = Field("mail-password", description="Name of the secret that is its password.")
    sender: str = Field("rakeeza@localhost", description="Address that notices come from.")
