"""What a person can put right: the command prints the sentence and exits with 1, without a trace."""


class PersonError(Exception):
    """A mistake of the person at the keyboard or of the machine's set-up, told in one sentence."""
