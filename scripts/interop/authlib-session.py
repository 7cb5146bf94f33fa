"""Authlib's OAuth2Session against `fapid dev`: client_secret_basic, client_secret_post,
private_key_jwt, and a certificate; the bank; refresh, introspection, revocation.
Usage: python3 authlib-session.py ISSUER DIRECTORY   (DIRECTORY is fapid's .fapid)
"""
import os
import sys
import time

import requests
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT

issuer, directory = sys.argv[1:]
os.environ["REQUESTS_CA_BUNDLE"] = f"{directory}/ca.pem"
standard = requests.get(f"{issuer}/.well-known/oauth-authorization-server").json()
mutual = standard["mtls_endpoint_aliases"]


def file(client, name):
    return f"{directory}/clients/{client}/{name}"


def session(client, secret, method, endpoints, **arguments):
    opened = OAuth2Session(
        client, secret, scope="accounts", token_endpoint_auth_method=method, revocation_endpoint_auth_method=method,
        token_endpoint=endpoints["token_endpoint"], grant_type="client_credentials", **arguments,
    )
    return opened


def refused(error, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except OAuthError as caught:
        assert caught.error == error, caught
        return
    raise AssertionError(f"no {error}")


def journey(opened, endpoints):
    bank = endpoints["token_endpoint"].replace("/token", "/bank/accounts")
    active = lambda token: opened.introspect_token(endpoints["introspection_endpoint"], token).json()["active"]
    first = opened.fetch_token()
    assert opened.get(bank).status_code == 200
    assert active(first["access_token"])
    if "refresh_token" in first:
        assert active(first["refresh_token"])
        # The session renews a token by itself that is old.
        opened.token = dict(first, expires_at=time.time() - 1)
        assert opened.get(bank).status_code == 200
        assert opened.token["access_token"] != first["access_token"] and opened.token["refresh_token"] != first["refresh_token"]
        second = opened.refresh_token(endpoints["token_endpoint"])
        assert second["access_token"] != first["access_token"]
        refused("invalid_grant", opened.refresh_token, endpoints["token_endpoint"], refresh_token="not-one")
    last = dict(opened.token)
    ended = opened.revoke_token(endpoints["revocation_endpoint"], last.get("refresh_token") or last["access_token"])
    assert ended.status_code == 200, ended.text
    for token in [last["access_token"], last.get("refresh_token", first["access_token"])]:
        assert not active(token)
    opened.token = last
    assert opened.get(bank).status_code == 401
    refused("invalid_scope", opened.fetch_token, scope="unheard-of")
    print(f"ok  {opened.token_endpoint_auth_method}  {opened.client_id}{', refreshed' if 'refresh_token' in first else ''}")


journey(session("api-client", "verysecret", "client_secret_basic", standard), standard)
journey(session("refresh-basic", "verysecret", "client_secret_basic", standard), standard)
journey(session("refresh-post", "verysecret", "client_secret_post", standard), standard)

for client, holder, algorithm in [("tpp-jwt", "tpp-jwt", "PS256"), ("tpp-jwt-es256", "tpp-jwt-es256", "ES256"), ("refresh-jwt", "tpp-jwt", "PS256")]:
    with open(file(holder, "signing.key")) as key:
        opened = session(client, key.read(), "private_key_jwt", standard)
    opened.register_client_auth_method(PrivateKeyJWT(alg=algorithm))
    journey(opened, standard)

for client, holder in [("tpp-tls", "tpp-tls"), ("tpp-san", "tpp-san"), ("refresh-tls", "tpp-tls")]:
    opened = session(client, None, "none", mutual)
    opened.cert = file(holder, "transport.pem"), file(holder, "transport.key")
    journey(opened, mutual)

refused("invalid_client", session("api-client", "wrong", "client_secret_basic", standard).fetch_token)
print("ok  invalid_client")
