"""`python -m tenfold.cli` is `tenfold`."""

from tenfold.cli import main

main()
