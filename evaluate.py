"""Look at a run: python evaluate.py --grid"""

import sys


def main() -> None:
    """Check the flags, open the run, do what was asked."""
    from aae_jax.evaluation_request import evaluation_request

    options = evaluation_request(sys.argv[1:])
    if not options.no_compile_cache:
        from aae_jax.compile_cache import keep_compiled_programs

        keep_compiled_programs()

    from aae_jax.evaluation import evaluate  # imports jax, which takes seconds
    from aae_jax.messages import say_on_stderr
    from aae_jax.run import Run

    run = Run.load(options.run_dir, say=say_on_stderr)
    evaluate(run, options, say=say_on_stderr)


if __name__ == "__main__":
    try:
        from aae_jax.failures import exit_status
    except ModuleNotFoundError as error:
        print(
            f"evaluate.py: the package {error.name} is not installed; type "
            "'make setup', then 'source .venv/bin/activate'",
            file=sys.stderr,
        )
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(exit_status(main, script="evaluate.py"))
