"""`python -m console` is `rakeeza`: how the program starts further processes of itself."""

from console.cli.main import main

main()
