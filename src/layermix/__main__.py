"""Entry point of ``layermix`` and ``python -m layermix``."""

import sys

from layermix.extras import missing_module


def main() -> None:
    """Run the command line; print a one-line message if a required module is not installed."""
    try:
        from layermix.cli.program import run_cli
    except KeyboardInterrupt:
        print("layermix: stopped", file=sys.stderr)
        sys.exit(130)
    except ModuleNotFoundError as error:
        if (error.name or "layermix").startswith("layermix"):
            raise
        print(f"layermix: {missing_module(error)}", file=sys.stderr)
        sys.exit(1)
    run_cli()


if __name__ == "__main__":
    main()
