"""The error class of kinetag, and the kinds of it that are told apart."""


class KinetagError(Exception):
    """Something in the input is wrong, and the user can mend it.

    The message is one line that names the value found, where it was found, and what to do about it.
    The command line prints it without a traceback and exits with code 2.
    """


class MistakesError(KinetagError):
    """Several things in one file are wrong: the message has a line for each."""


class OtherRunError(KinetagError):
    """A results folder holds another training, whose record is to stay as it is."""


def missing_extra(module: str, extra: str, purpose: str) -> KinetagError:
    """The error for an optional package that is not installed, with the line that installs it."""
    return KinetagError(
        f"{purpose} needs the package '{module}', which is not installed: pip install 'kinetag[{extra}]'"
    )
