"""What a user can get wrong, said in one line."""


class InputError(ValueError):
    """A setting or a file is wrong: the message names the key or file, the rule, the value and the way out."""


class NotDefinedError(InputError):
    """The cell has no meaning, such as a classifier without known anomalies: it is skipped, it has not failed."""
