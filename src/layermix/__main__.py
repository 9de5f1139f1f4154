"""``python -m layermix`` is the command line."""

from layermix.cli import main

if __name__ == "__main__":
    main()
