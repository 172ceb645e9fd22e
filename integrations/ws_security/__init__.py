"""A strict profile of WS-Security 1.1, as functions over a parsed envelope: who signed which element objects.

`verification.verify` checks a message, `username_token.check_username` the secret of its clerk; every refusal
is one of `faults`. Nothing here reads a database, a file or a clock.

The profile: one Security header for us with one Timestamp, one Signature, at most one UsernameToken and one
BinarySecurityToken. The Signature covers the envelope's own Body and its own Timestamp, and nothing that is
not in its place. Canonical form, algorithms and references are a closed list. What the profile does not name
is refused, also where the standards allow it.

Source: OASIS SOAP Message Security 1.1.1, UsernameToken Profile 1.1.1, X.509 Certificate Token Profile 1.1.1;
W3C XML Signature 1.1, Exclusive XML Canonicalization 1.0; WS-I Basic Security Profile 1.1.
"""
