"""`python -m penjing`."""

from penjing.cli.main import main

main()
