#!/usr/bin/env bash
# Aidbox's client credentials as its documentation has them, host, port and the
# administrator's authorization changed: below /fhir and above it, refreshed with the
# client_id alone, and again with the same refresh token.
# usage: aidbox.sh ISSUER DIRECTORY   (DIRECTORY is fapid's .fapid)
set -euo pipefail
host=$1
request() { curl --silent --show-error --cacert "$ca" "$@"; }
ca=$2/ca.pem
admin=(--user root:secret)

# want TEXT ANSWER: the answer has the text in it.
want() {
	case $2 in
	*"$1"*) echo "ok  $1" ;;
	*) printf '%s is not in %s\n' "$1" "$2" >&2; exit 1 ;;
	esac
}
# member NAME: the text of a member of the JSON on standard input.
member() { sed -n 's/.*"'"$1"'": *"\([^"]*\)".*/\1/p'; }
# claims: the claims of the JWT on standard input.
claims() { cut -d. -f2 | tr '_-' '/+' | sed 's/$/==/' | base64 --decode 2>/dev/null || true; }

answer=$(request "${admin[@]}" --request PUT "$host/Client/api-client" --header 'Accept: text/yaml' --header 'Content-Type: text/yaml' --data-binary @- <<'YAML'
secret: verysecret
grant_types:
  - client_credentials
YAML
)
want 'id: api-client' "$answer"
answer=$(request --request POST "$host/auth/token" --header 'Authorization: Basic YXBpLWNsaWVudDp2ZXJ5c2VjcmV0' \
	--header 'Content-Type: application/x-www-form-urlencoded' --data 'grant_type=client_credentials')
want '"token_type":"Bearer"' "$answer"
want '"access_token":"fapid_at.' "$answer" # opaque

answer=$(request "${admin[@]}" --request PUT "$host/Client/api-client" --header 'Accept: text/yaml' --header 'Content-Type: text/yaml' --data-binary @- <<'YAML'
secret: verysecret
grant_types:
  - client_credentials
auth:
  client_credentials:
    access_token_expiration: 600 # 10 minutes
    token_format: jwt
    refresh_token: true
    refresh_token_expiration: 86400 # 1 day
YAML
)
want 'refresh_token_expiration: 86400' "$answer"
answer=$(request "${admin[@]}" --request PUT "$host/AccessPolicy/api-client" --header 'Accept: text/yaml' --header 'Content-Type: text/yaml' --data-binary @- <<'YAML'
engine: allow
link:
  - id: api-client
    resourceType: Client
YAML
)
want 'engine: allow' "$answer"

answer=$(request --request POST "$host/auth/token" --header 'Authorization: Basic YXBpLWNsaWVudDp2ZXJ5c2VjcmV0' \
	--header 'Content-Type: application/x-www-form-urlencoded' --data 'grant_type=client_credentials')
want '"expires_in":600' "$answer"
answer=$(request --request POST "$host/auth/token" --header 'Content-Type: application/json' --data '{
  "grant_type": "client_credentials",
  "client_id": "api-client",
  "client_secret": "verysecret"
}')
token=$(printf '%s' "$answer" | member access_token)
want '"sub":"api-client"' "$(printf '%s' "$token" | claims)"
refresh=$(printf '%s' "$answer" | member refresh_token)
for path in /auth/token /fhir/auth/token; do
	answer=$(request --request POST "$host$path" --header 'Content-Type: application/json' --data '{
  "grant_type": "refresh_token",
  "client_id": "api-client",
  "refresh_token": "'"$refresh"'"
}')
	want '"access_token":"eyJ' "$answer"
done
answer=$(request --request POST "$host/auth/token" --header 'Content-Type: application/json' --data '{
  "grant_type": "client_credentials",
  "client_id": "api-client",
  "client_secret": "verysecret",
  "audience": "http://resource.server.com"
}')
want '"aud":"http://resource.server.com"' "$(printf '%s' "$answer" | member access_token | claims)"

sessions=$(request "$host/Session" --header "Authorization: Bearer $token")
want '"resourceType": "Bundle"' "$sessions"
want '"resourceType": "Session"' "$sessions"
answer=$(request --request DELETE "$host/fhir/Session" --header "Authorization: Bearer $token" --output /dev/null --write-out '%{http_code}')
want 204 "$answer"
answer=$(request "$host/Session" --header "Authorization: Bearer $token")
want '"error":"invalid_token"' "$answer"
answer=$(request --request POST "$host/auth/introspect" --user api-client:verysecret --data "token=$token")
want '"active":false' "$answer"
