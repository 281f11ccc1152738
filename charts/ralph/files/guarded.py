"""Ralph behind two checks that come before it reads a request: the account, and the size of the body.

Ralph parses a body before it checks the account. A few megabytes of empty objects from a sender without an account
would use up the memory of the Pod. Paths that Ralph opens to everybody, such as its API documentation, need an account
here; the health checks do not.
"""

import base64
import binascii
import os

from fastapi import HTTPException
from fastapi.security import HTTPBasicCredentials
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse

from ralph.api import app as ralph
from ralph.api import get_health_check_routes
from ralph.api.auth.basic import get_basic_auth_user
from ralph.conf import AuthBackend, settings

MAX_BODY = int(os.environ["LASTACK_MAX_BODY_BYTES"])
OPEN_PATHS = frozenset(get_health_check_routes())


def credentials(authorization):
    """The account of a Basic header. None: the header holds no account."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        username, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return HTTPBasicCredentials(username=username, password=password) if colon else None


async def rejection(headers):
    """The response to a request that Ralph must not read. None: Ralph may read it."""
    authorization = headers.get("authorization", "")
    # Ralph checks tokens, and accepts them only with the OIDC backend
    is_token = AuthBackend.OIDC in settings.RUNSERVER_AUTH_BACKENDS and authorization.lower().startswith("bearer ")
    if not is_token:
        account = credentials(authorization)
        try:
            # bcrypt takes long for a wrong password, and Ralph remembers a right one
            user = account and await run_in_threadpool(get_basic_auth_user, account)
        except HTTPException as error:
            return reject(error.status_code, error.detail)
        if not user:
            return reject(401, "Invalid authentication credentials")
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > MAX_BODY:
        return reject(413, f"The body is larger than {MAX_BODY} bytes")
    return None


def reject(status, detail):
    # the connection ends, because nothing reads the rest of the request
    headers = {"connection": "close"}
    if status == 401:
        headers["www-authenticate"] = "Basic"
    return JSONResponse({"detail": detail}, status, headers)


async def app(scope, receive, send):
    """The ASGI application."""
    if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
        await ralph(scope, receive, send)
        return
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    response = await rejection(headers)
    if response:
        await response(scope, receive, send)
        return
    received = 0

    async def limited():
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > MAX_BODY:
            raise HTTPException(413, f"The body is larger than {MAX_BODY} bytes", {"connection": "close"})
        return message

    await ralph(scope, limited, send)
