"""The request whose JSON is read strictly."""

from quart import Request
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from upstream.strict_json import InvalidJsonError, parse


class StrictRequest(Request):
    """A request that tells a wrong media type (415) from a malformed body (400).

    Quart's own reading gives None for the one, and raises out of its error handling for a body that is not
    UTF-8 or is nested too deeply, which would come out as a 500.
    """

    async def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> object:  # noqa: ARG002
        """Return the body's JSON value; the arguments are Quart's and change nothing."""
        if not self.is_json:
            raise UnsupportedMediaType("Send the body as application/json.")
        try:
            return parse(await self.get_data(cache=True, as_text=False, parse_form_data=False))
        except InvalidJsonError as error:
            raise BadRequest(f"The body could not be read: {error}.") from error
