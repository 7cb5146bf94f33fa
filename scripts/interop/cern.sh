#!/usr/bin/env bash
# CERN API Access as its documentation has it, host and port changed.
# usage: cern.sh ISSUER DIRECTORY   (DIRECTORY is fapid's .fapid)
set -euo pipefail
answer=$(curl --silent --show-error --fail-with-body --cacert "$2/ca.pem" --location --request POST "$1/auth/realms/cern/api-access/token" \
	--header 'Content-Type: application/x-www-form-urlencoded' \
	--data-urlencode 'grant_type=client_credentials' \
	--data-urlencode 'client_id=my-client-id' \
	--data-urlencode 'client_secret=my-client-secret' \
	--data-urlencode 'audience=target-client-id')
claims=$(printf '%s' "$answer" | sed 's/.*"access_token":"[^.]*\.\([^.]*\)\..*/\1/' | tr '_-' '/+' | sed 's/$/==/' | base64 --decode 2>/dev/null || true)
for expected in '"sub":"service-account-my-client-id"' '"aud":"target-client-id"' '"roles":["reader"]' \
	'"azp":"my-client-id"' '"typ":"Bearer"' '"preferred_username":"service-account-my-client-id"' \
	'"resource_access":{"target-client-id":{"roles":["reader"]}}' '"cern_roles":["reader"]'; do
	case $claims in
	*"$expected"*) echo "ok  $expected" ;;
	*) echo "$expected is not in $claims" >&2; exit 1 ;;
	esac
done
