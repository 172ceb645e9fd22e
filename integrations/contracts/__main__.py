"""Writes the XSD and the WSDL anew from the OpenAPI file: `python -m integrations.contracts`."""

from integrations.contracts import wsdl, xsd

if __name__ == "__main__":
    xsd.LICENSING_XSD.write_bytes(xsd.written())
    wsdl.LICENSING_WSDL.write_bytes(wsdl.written())
