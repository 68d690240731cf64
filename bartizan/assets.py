"""Where the edge's own files lie: beside the package in a checkout, inside of it in an installed wheel."""

from dataclasses import dataclass
from pathlib import Path

from bartizan.errors import BartizanError


@dataclass(frozen=True, slots=True)
class Assets:
    """The folders of the edge.

    Attributes:
        lua: holds `bartizan/*.lua`.
        openresty: holds the configuration template and its snippets.
    """

    lua: Path
    openresty: Path


def find_assets(package: Path = Path(__file__).parent) -> Assets:
    """Return the edge's folders.

    Args:
        package: the folder of the `bartizan` package.

    Raises:
        BartizanError: the installation is not whole.
    """
    package = package.resolve()
    places = (package / "_edge", package.parent)
    for place in places:
        if (place / "lua" / "bartizan").is_dir() and (place / "openresty").is_dir():
            return Assets(lua=place / "lua", openresty=place / "openresty")
    raise BartizanError(
        f"the edge's Lua files are neither in {places[0]} nor in {places[1]}; install bartizan again"
    )
