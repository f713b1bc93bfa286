"""`python -m sia_tui` is `sia-tui`."""


def run() -> int:
    """Ended by a key also while it only begins, it says nothing."""
    try:
        from sia_tui.cli.main import main

        return main()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    raise SystemExit(run())
