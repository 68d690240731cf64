"""From a policy file to a policy, or to all that is wrong with it."""

from pathlib import Path

from bartizan.policy.document import read_document
from bartizan.policy.models import Policy


def load_policy(path: Path) -> Policy:
    """Read and check a policy file.

    Raises:
        PolicyError: with every mistake in the file.
    """
    document = read_document(path)
    return Policy.model_validate(document.data, context={"folder": path.absolute().parent})
