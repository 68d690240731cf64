"""What a person can put right."""


class BartizanError(Exception):
    """Something that the person at the keyboard can put right; the message is one sentence that says how."""


def told(error: BartizanError | OSError) -> str:
    """Return the sentence of an error; the system's own are of a full disk, or of a file that is not ours."""
    if isinstance(error, BartizanError):
        return str(error)
    why = (error.strerror or str(error)).lower()
    return f"{error.filename} can't be used: {why}" if error.filename else f"can't write to the disk: {why}"
