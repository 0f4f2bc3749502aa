"""`python -m novicegym`."""

from novicegym.cli import main

main()
