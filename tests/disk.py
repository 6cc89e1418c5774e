"""A disk that is full, for tests."""

import contextlib
import resource


@contextlib.contextmanager
def file_size_limit(limit):
    """No file may grow beyond `limit` bytes: to us the same as a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
