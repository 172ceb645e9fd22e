"""Asks a SOAP service as its client: zeep binds, and all that comes near the network or is believed is ours.

`client.SoapClient` makes one call; `exchange` sends and receives within limits, `signing` signs what is sent,
`failures` has the one table by which everything that can go wrong is told. A reply is believed when its
signature holds over its Body and Timestamp (`integrations.ws_security`), and a Fault only then as well.
"""
