"""The program: ``layermix``, and ``python -m layermix``."""

import sys


def main() -> None:
    """Run the command line; stopped while it is still being loaded, it goes without a word."""
    try:
        from layermix.cli import main as run
    except KeyboardInterrupt:
        sys.exit(1)
    run()


if __name__ == "__main__":
    main()
