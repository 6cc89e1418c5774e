"""Train an adversarial autoencoder: python train.py --prior normal --z-dim 2"""

import os
import sys


def main() -> None:
    """Check the flags, train, say what came out and where it is."""
    from aae_jax.cli import settled_together, training_request
    from aae_jax.compile_cache import keep_compiled_programs
    from aae_jax.supervisor import be_watched, is_watched, watch_child

    request = training_request(sys.argv[1:])
    if request.cluster is not None:
        if not is_watched():
            sys.exit(watch_child())
        be_watched()
        from aae_jax.processes import join

        join(request.cluster)
        request = settled_together(request, sys.argv[1:])
    if request.finished is not None:
        print(f"{request.finished} is finished; nothing is left to do")
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
        from aae_jax.cli import exit_status
        from aae_jax.supervisor import is_watched
    except ModuleNotFoundError as error:
        print(
            f"train.py: the package {error.name} is not installed; type 'make setup', "
            "then 'source .venv/bin/activate'",
            file=sys.stderr,
        )
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    status = exit_status(main, script="train.py")
    if status and is_watched():
        os._exit(status)  # at a usual end the runtime waits for all the others
    sys.exit(status)
