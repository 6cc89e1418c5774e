"""`python -m aae_jax.data mnist`: get a set and prepare it."""

import argparse
import sys

from aae_jax.data.preparing import ORIGINS, prepare
from aae_jax.errors import RunError, UserError
from aae_jax.messages import say_on_stderr


def main(arguments: list[str] | None = None) -> int:
    """Parse, prepare, return the exit code: 0 done, 2 bad input, 130 Ctrl-C, 1 else."""
    parser = argparse.ArgumentParser(
        prog="python -m aae_jax.data",
        description="Get a set of images once, so that --dataset NAME finds it.",
    )
    parser.add_argument("name", help=f"one of {', '.join(ORIGINS)}")
    parser.add_argument(
        "--from",
        dest="source",
        metavar="FOLDER",
        help="take the four published IDX files from this folder; no download",
    )
    parser.add_argument(
        "--data-dir",
        metavar="DIR",
        help="the tfds data folder to write to (default: our own cache folder)",
    )
    options = parser.parse_args(arguments)
    try:
        prepare(
            options.name,
            data_dir=options.data_dir,
            source=options.source,
            say=say_on_stderr,
        )
    except UserError as error:
        say_on_stderr(str(error))
        return 2
    except KeyboardInterrupt:
        print("stopped; nothing was prepared", file=sys.stderr)
        return 130
    except (RunError, OSError) as error:
        say_on_stderr(f"{options.name} could not be prepared: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
