"""Writes the XSD and the WSDL anew from the OpenAPI file: `python -m integrations.contracts`.

With `release N`, it then keeps the three as version N: from then on a test names what breaks who holds it.
"""

import shutil
import sys

from integrations.contracts import LICENSING, wsdl, xsd
from integrations.contracts.compatibility import RELEASED


def main(arguments: list[str]) -> None:
    """Do what the command line says.

    Raises:
        FileExistsError: the version was released before; centres hold it, and it is never written again.
    """
    match arguments:
        case []:
            _write()
        case ["release", version] if version.isdigit():
            _write()
            folder = RELEASED / str(int(version))
            folder.mkdir(parents=True)
            for file in (LICENSING, xsd.LICENSING_XSD, wsdl.LICENSING_WSDL):
                shutil.copyfile(file, folder / file.name)
        case _:
            sys.exit("usage: python -m integrations.contracts [release NUMBER]")


def _write() -> None:
    for file, text in ((xsd.LICENSING_XSD, xsd.written()), (wsdl.LICENSING_WSDL, wsdl.written())):
        # What is right is left alone: it may be being read.
        if not file.exists() or file.read_bytes() != text:
            file.write_bytes(text)


if __name__ == "__main__":
    main(sys.argv[1:])
