#!/usr/bin/env bash
# A Keycloak-style realm, as curl and Python's requests call it.
# usage: PYTHON=python3 keycloak.sh ISSUER DIRECTORY   (DIRECTORY is fapid's .fapid)
set -euo pipefail
curl --silent --show-error --fail-with-body --cacert "$2/ca.pem" -X POST "$1/realms/myrealm/protocol/openid-connect/token" \
	-d client_id=myclient -d client_secret=myclientsecret -d grant_type=client_credentials | grep -q '"access_token"'
echo "ok  curl"
curl --silent --show-error --fail-with-body --cacert "$2/ca.pem" -X POST "$1/realms/myrealm/protocol/openid-connect/token" \
	-u myclient:myclientsecret -d grant_type=client_credentials | grep -q '"access_token"'
echo "ok  curl, the secret in the header"

"$PYTHON" - "$1" "$2/ca.pem" <<'PYTHON'
import base64
import json
import sys
import requests

issuer, ca = sys.argv[1:]
response = requests.post(
    f"{issuer}/realms/myrealm/protocol/openid-connect/token",
    data={"grant_type": "client_credentials", "client_id": "myclient", "client_secret": "myclientsecret"},
    headers={"Content-Type": "application/x-www-form-urlencoded"},
    verify=ca,
)
response.raise_for_status()
token = response.json()
assert token["token_type"] == "Bearer" and token["expires_in"] == 60, token
assert token["access_token"].count(".") == 2, "a JWT"
print("ok  requests")
payload = token["access_token"].split(".")[1]
claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
for name, value in {"azp": "myclient", "typ": "Bearer", "preferred_username": "service-account-myclient", "client_id": "myclient"}.items():
    assert claims[name] == value, claims
print("ok  what a token of Keycloak says")

introspection = requests.post(
    f"{issuer}/realms/myrealm/protocol/openid-connect/token/introspect",
    data={"token": token["access_token"]}, auth=("myclient", "myclientsecret"), verify=ca,
).json()
assert introspection["active"] and {name: introspection.get(name) for name in claims} == claims, introspection
print("ok  all of it by introspection")
PYTHON
