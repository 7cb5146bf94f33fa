#!/usr/bin/env bash
# Raidiam's token requests: tls_client_auth at the alias host, private_key_jwt at
# the standard host, each token signed with the algorithm the client chose.
# usage: FAPID=fapid raidiam.sh ISSUER DIRECTORY   (DIRECTORY is fapid's .fapid)
set -euo pipefail
discovery=$(curl --silent --show-error --fail --cacert "$2/ca.pem" "$1/.well-known/openid-configuration")
alias=$(printf '%s' "$discovery" | tr -d '\n' | sed 's/.*"mtls_endpoint_aliases": {[^}]*"token_endpoint": "\([^"]*\)".*/\1/')
algorithm() { sed 's/.*"access_token":"\([^.]*\)\..*/\1/' | tr '_-' '/+' | sed 's/$/==/' | base64 --decode 2>/dev/null | sed 's/.*"alg":"\([^"]*\)".*/\1/'; }
expect() { [ "$2" = "$3" ] || { echo "$1: signed with $2, not $3" >&2; exit 1; }; echo "ok  $1, signed with $2"; }

signed=$(curl --silent --show-error --fail-with-body --cacert "$2/ca.pem" \
	--cert "$2/clients/tpp-tls/transport.pem" --key "$2/clients/tpp-tls/transport.key" \
	--request POST "$alias" --header 'Content-Type: application/x-www-form-urlencoded' \
	--data 'client_id=tpp-tls&grant_type=client_credentials&scope=directory:software' | algorithm)
expect "tls_client_auth at $alias" "$signed" ES256

for client in tpp-jwt:PS256 tpp-jwt-es256:ES256; do
	id=${client%:*}
	signed=$(curl --silent --show-error --fail-with-body --cacert "$2/ca.pem" --request POST "$1/token" \
		--data "grant_type=client_credentials&scope=directory:software&client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer" \
		--data-urlencode "client_assertion=$("$FAPID" assertion "$id" --dir "$2")" | algorithm)
	expect "private_key_jwt, $id" "$signed" "${client#*:}"
done
