"""The program: `python -m pipeline`, and the installed command `pipeline`."""

from pipeline.workers.stopping import stoppable


def main() -> None:
    """Run the command line; Ctrl-C and SIGTERM are handled from here on, even while libraries are still imported."""
    with stoppable():
        from pipeline.cli import main as run

        run()


if __name__ == "__main__":
    main()
