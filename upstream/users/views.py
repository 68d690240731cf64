"""Listing, searching, reading and adding users."""

from urllib.parse import urlencode

from quart import Blueprint, Response, redirect, render_template, url_for
from quart_schema import hide, validate_querystring, validate_request, validate_response
from werkzeug.routing import IntegerConverter
from werkzeug.wrappers import Response as WerkzeugResponse

from upstream.openapi import fails_with
from upstream.problem import ProblemError
from upstream.services import services
from upstream.tokens.requires import requires
from upstream.users.model import User
from upstream.users.schemas import MAX_ID, NewUser, UserPage, UserQuery, UserView
from upstream.users.store import EmailTakenError

users = Blueprint("users", __name__, url_prefix="/api/users", template_folder="templates")


class UserIdConverter(IntegerConverter):
    """A user's id in a path: ASCII digits only, and not more than the database can hold.

    Werkzeug's own takes any number of digits of any script, and int() raises on more than 4,300 of them.
    """

    regex = "[0-9]{1,19}"

    def __init__(self, url_map: object) -> None:
        super().__init__(url_map, min=1, max=MAX_ID)  # type: ignore[arg-type]


@users.get("")
@requires("users:read")
@validate_querystring(UserQuery)
@validate_response(UserPage)
@fails_with(400, 401, 403, 503)
async def list_users(query_args: UserQuery) -> UserPage:
    """List users, or search them with `q`.

    Pages are linked by `next`, which stays right while users are added.
    """
    # One more than the page shows whether there is a next one.
    found = await services().users.list(
        after=query_args.after, limit=query_args.limit + 1, containing=query_args.q
    )
    page = [UserView.of(user) for user in found[: query_args.limit]]
    following = None
    if len(found) > len(page):
        search = {} if query_args.q is None else {"q": query_args.q}
        place = {"after": str(page[-1].id), "limit": str(query_args.limit)}
        following = f"{url_for('users.list_users')}?{urlencode(search | place)}"
    return UserPage(users=page, next=following)


@users.post("")
@requires("users:write")
@validate_request(NewUser)
@validate_response(UserView, 201)
@fails_with(400, 401, 403, 409, 413, 415, 422, 503)
async def add_user(data: NewUser) -> tuple[UserView, int, dict[str, str]]:
    """Add a user."""
    try:
        user = UserView.of(await services().users.add(data))
    except EmailTakenError:
        raise ProblemError(409, "email_taken", "Another user has this e-mail address.") from None
    services().feed.publish(user)
    return user, 201, {"Location": url_for("users.read_user", user_id=user.id)}


@users.get("/<user_id:user_id>")
@requires("users:read")
@validate_response(UserView)
@fails_with(401, 403, 404, 503)
async def read_user(user_id: int) -> UserView:
    """Read one user."""
    return UserView.of(await _find(user_id))


@users.get("/<user_id:user_id>/card")
@hide
@requires("users:read")
async def card(user_id: int) -> str:
    """Show one user as a page; autoescaping keeps their text from being markup."""
    return await render_template("card.html", user=UserView.of(await _find(user_id)))


@users.get("/<user_id:user_id>/website")
@hide
@requires("users:read")
async def website(user_id: int) -> Response | WerkzeugResponse:
    """Redirect to a user's website, if it is on the list of safe ones."""
    user = await _find(user_id)
    if user.website is None:
        raise ProblemError(404, "no_website", "This user has no website.")
    return redirect(user.website, 302)


async def _find(user_id: int) -> User:
    user = await services().users.get(user_id)
    if user is None:
        raise ProblemError(404, "no_user", "There is no user with this id.")
    return user
