"""What a person can put right."""


class BartizanError(Exception):
    """Something that the person at the keyboard can put right; the message is one sentence that says how."""
