"""`python -m socketlab`: the command of the same name."""

from socketlab.cli import main

main()
