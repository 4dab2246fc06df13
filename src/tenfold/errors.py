"""The one error a user is meant to read."""


class UserError(ValueError):
    """Bad input. The message says what is wrong (field or file), the value, and the mend; the CLI prints it without a traceback."""
