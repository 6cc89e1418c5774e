"""The two kinds of failure that are told to a person in one sentence."""


class UserError(ValueError):
    """The input is at fault; the message says what was got, is allowed, is to be typed.

    The scripts print the message to stderr and exit with 2.
    """


class RunError(RuntimeError):
    """The input is fine and the run cannot go on: a full disk, a damaged checkpoint.

    The scripts print the message to stderr and exit with 1.
    """
