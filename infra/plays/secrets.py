"""Secret variables of a run, as they may lie in its folder: sealed, and their passwords never on a disk."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from foundation.secret import Secret


@dataclass(frozen=True)
class PlaySecrets:
    """What a run needs to read its secret variables.

    Args:
        files: sealed by ansible-vault, by path relative to the inventory's folder, such as
            `group_vars/site_dc-1/vault.yml`.
        passwords: of the vaults, by vault id.
        values: every secret text within, to be masked wherever the run says anything.
        digests: SHA-256 of each file as it was found sealed, by its path; nobody learns a secret from it, and
            another secret has another.
    """

    files: Mapping[str, bytes] = field(default_factory=dict)
    passwords: Mapping[str, Secret] = field(default_factory=dict)
    # Not shown by repr(): it would end in a log with the first assertion that fails.
    values: frozenset[str] = field(default=frozenset(), repr=False)
    digests: Mapping[str, str] = field(default_factory=dict)

    def __or__(self, other: "PlaySecrets") -> "PlaySecrets":
        """These and those; of two files or passwords of one name, those."""
        return PlaySecrets(
            {**self.files, **other.files},
            {**self.passwords, **other.passwords},
            self.values | other.values,
            {**self.digests, **other.digests},
        )
