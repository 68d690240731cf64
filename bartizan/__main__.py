"""`python -m bartizan`, for where the command's folder is not on the PATH."""

from bartizan.cli import main

main()
