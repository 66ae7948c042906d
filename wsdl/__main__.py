"""`python -m wsdl` is the command `wsdl`, for where its script is not on the PATH."""

from wsdl.cli import main

main()
