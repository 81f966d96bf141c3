"""The keys of a request, and what a response may bring before anything reads it."""

import io
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import requests
from airbyte_cdk.sources.declarative.auth.token import BasicHttpAuthenticator
from airbyte_cdk.utils.airbyte_secrets_utils import add_to_secrets, filter_secrets

ERROR_BYTES = 64 * 1024
"""Bytes of an error's body that are read; Amplitude's errors have some hundred."""


class InterimResponseError(requests.ConnectionError):
    """A response of 1xx, which http.client takes for the answer; the answer follows it on the connection."""


@dataclass
class AmplitudeAuthenticator(BasicHttpAuthenticator):
    """HTTP Basic authentication with the API key and the secret key, and with no other keys.

    The header is added to the CDK's secrets, which know both keys but not their encoding: no log shows it.
    Each response passes `guard`.

    See: https://amplitude.com/docs/apis/authentication
    """

    def __post_init__(self, parameters: Any) -> None:
        super().__post_init__(parameters)
        encoded = self.token.removeprefix("Basic ")
        if filter_secrets(encoded) == encoded:
            add_to_secrets(encoded)
        # After a redirect requests would replace the header by the keys of an entry in ~/.netrc.
        os.environ["NETRC"] = os.devnull

    def __call__(self, request: requests.PreparedRequest) -> Any:
        """Sign a request, and have its response guarded."""
        signed: Any = super().__call__(request)
        # The CDK signs a request again before each attempt.
        if guard not in signed.hooks["response"]:
            signed.register_hook("response", guard)
        return signed


def guard(response: requests.Response, *_: Any, **__: Any) -> requests.Response:
    """Bound the body of an error, and close the connection after a response of 1xx.

    Nobody has read the body yet, and the connection is not in the pool.

    Raises:
        InterimResponseError: the response is not the answer.
    """
    if response.status_code < 200:
        response.close()
        raise InterimResponseError(f"status {response.status_code}", request=response.request)
    if response.status_code < 400:
        return response
    body = b""
    with suppress(requests.RequestException):
        for chunk in response.iter_content(8 * 1024):
            body += chunk
            if len(body) >= ERROR_BYTES:
                break
    response.close()
    bounded = requests.Response()
    bounded.status_code, bounded.reason = response.status_code, response.reason
    bounded.headers, bounded.encoding = response.headers, response.encoding
    bounded.url, bounded.request = response.url, response.request
    bounded.elapsed, bounded.cookies = response.elapsed, response.cookies
    bounded.raw = io.BytesIO(body[:ERROR_BYTES])
    return bounded
