"""The program: `python -m pipeline`, and the `pipeline` command that an installation brings."""

from pipeline.workers.stopping import stoppable


def main() -> None:
    """Run the command line; Ctrl-C and SIGTERM are answered from here on, even while libraries are still read in."""
    with stoppable():
        from pipeline.cli import main as run

        run()


if __name__ == "__main__":
    main()
