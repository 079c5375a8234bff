"""`python -m mora`: the command line."""

from mora.cli import main

main()
