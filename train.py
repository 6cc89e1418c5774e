"""Train an adversarial autoencoder: python train.py --prior normal --z-dim 2"""

import sys


def main() -> None:
    """Check the flags, train, say what came out and where it is."""
    from aae_jax.cli import joined_request
    from aae_jax.compile_cache import keep_compiled_programs
    from aae_jax.messages import printable

    request = joined_request(sys.argv[1:])
    if request.finished is not None:
        print(printable(f"{request.finished} is finished; nothing is left to do"))
        return
    if request.keep_compiled:
        keep_compiled_programs()
    from aae_jax.fitting import fit, fit_seeds  # imports jax, which takes seconds
    from aae_jax.processes import is_first
    from aae_jax.reporting import summary

    if request.n_seeds is None:
        runs = [fit(request.config, options=request.options)]
    else:
        runs = fit_seeds(request.config, request.n_seeds, options=request.options)
    if is_first():
        print(summary({run.folder: run.metrics() for run in runs}))


if __name__ == "__main__":
    try:
        from aae_jax.failures import exit_status
    except ModuleNotFoundError as error:
        print(
            f"train.py: the package {error.name} is not installed; type 'make setup', "
            "then 'source .venv/bin/activate'",
            file=sys.stderr,
        )
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(exit_status(main, script="train.py"))
