"""The one exception that means: the input is wrong, and this line says how."""


class InputError(ValueError):
    """Bad input from outside: a config value, a data file, a checkpoint.

    The message is one line that names the key (or file), the value and what is allowed. Entry points print it
    alone and exit with status 1; library users catch it like any ``ValueError``.
    """
