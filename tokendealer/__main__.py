"""`python -m tokendealer` is the `tokendealer` command."""

from tokendealer.cli import main

if __name__ == "__main__":
    main()
