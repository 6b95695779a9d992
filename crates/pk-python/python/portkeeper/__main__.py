"""The command ``portkeeper``, and its holders, which are this file run by its path."""

import sys


def main() -> int:
    """Runs the command with ``sys.argv`` and returns its exit code."""
    import signal

    from portkeeper._native import _run

    # Ctrl-C ends a command at once, as it does any other program's.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _run(["portkeeper", *sys.argv[1:]])


def _find_package() -> None:
    """Lets a file that was run by its path, as a holder is, find the package that it lies in."""
    import os.path

    package = os.path.dirname(os.path.abspath(__file__))
    sys.path = [os.path.dirname(package), *(entry for entry in sys.path if entry != package)]


if __name__ == "__main__":
    if not __package__:
        _find_package()
    sys.exit(main())
