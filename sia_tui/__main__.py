"""`python -m sia_tui` is `sia-tui`."""

from sia_tui.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
