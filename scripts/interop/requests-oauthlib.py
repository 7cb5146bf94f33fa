"""requests-oauthlib against `fapid dev`: BackendApplicationClient with the secret in
the header and in the body, and with a certificate; the bank; refresh tokens.
Usage: python3 requests-oauthlib.py ISSUER DIRECTORY   (DIRECTORY is fapid's .fapid)
"""
import os
import sys
import time

import requests
from oauthlib.oauth2 import BackendApplicationClient, InvalidClientError, InvalidGrantError, InvalidScopeError
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session

issuer, directory = sys.argv[1:]
os.environ["REQUESTS_CA_BUNDLE"] = f"{directory}/ca.pem"
metadata = requests.get(f"{issuer}/.well-known/oauth-authorization-server").json()
alias = metadata["mtls_endpoint_aliases"]["token_endpoint"]


def certificate(client):
    return f"{directory}/clients/{client}/transport.pem", f"{directory}/clients/{client}/transport.key"


def session(client, scope, **arguments):
    return OAuth2Session(client=BackendApplicationClient(client_id=client, scope=scope), scope=scope, **arguments)


def refused(error, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except error:
        return
    raise AssertionError(f"no {error.__name__}")


def bank(opened, url, **arguments):
    answer = opened.get(url.replace("/token", "/bank/accounts"), **arguments)
    assert answer.status_code == 200 and answer.json()["Data"]["Account"], answer.text


# The secret in the header, and in the body. Once its token is old, the session
# renews it by itself when it next calls the bank.
body = {"client_id": "refresh-post", "client_secret": "verysecret"}
for client, fetching, renewing, calling in [
    ("refresh-basic", {"auth": HTTPBasicAuth("refresh-basic", "verysecret")}, {}, {"client_id": "refresh-basic", "client_secret": "verysecret"}),
    ("refresh-post", {"client_secret": "verysecret", "include_client_id": True}, body, {}),
]:
    opened = session(client, ["accounts"])
    first = opened.fetch_token(metadata["token_endpoint"], **fetching)
    assert first["token_type"] == "Bearer" and first["scope"] == ["accounts"] and first["expires_at"] > time.time()
    bank(opened, metadata["token_endpoint"])
    print(f"ok  BackendApplicationClient  {client}")

    kept = []
    old = session(
        client, ["accounts"], token=dict(first, expires_in=-1, expires_at=time.time() - 1),
        auto_refresh_url=metadata["token_endpoint"], auto_refresh_kwargs=renewing, token_updater=kept.append,
    )
    bank(old, metadata["token_endpoint"], **calling)
    assert len(kept) == 1 and kept[0]["access_token"] != first["access_token"] and kept[0]["refresh_token"] != first["refresh_token"]
    refused(InvalidGrantError, opened.refresh_token, metadata["token_endpoint"], "not-one", auth=fetching.get("auth"), **renewing)
    print(f"ok  automatic refresh  {client}")

refused(InvalidClientError, session("api-client", ["accounts"]).fetch_token, metadata["token_endpoint"], client_secret="wrong")
refused(InvalidScopeError, session("api-client", ["unheard-of"]).fetch_token, metadata["token_endpoint"], client_secret="verysecret")
print("ok  invalid_client, invalid_scope")

# A certificate, at the alias.
for client, holder in {"tpp-tls": "tpp-tls", "tpp-self-signed": "tpp-self-signed", "refresh-tls": "tpp-tls"}.items():
    opened = session(client, ["accounts"])
    opened.cert = certificate(holder)
    token = opened.fetch_token(alias, include_client_id=True)
    bank(opened, alias)
    if "refresh_token" in token:
        renewed = opened.refresh_token(alias, client_id=client)
        assert renewed["access_token"] != token["access_token"]
        bank(opened, alias)
    stranger = session(client, ["accounts"], token=opened.token)
    stranger.cert = certificate("tpp-san")
    assert stranger.get(alias.replace("/token", "/bank/accounts")).status_code == 401
    refused(InvalidClientError, stranger.fetch_token, alias, include_client_id=True)
    print(f"ok  certificate  {client}")
