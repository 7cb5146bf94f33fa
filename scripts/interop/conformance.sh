#!/usr/bin/env bash
# The plan configurations for the OpenID conformance suite: whole, and with clients
# that work. The suite itself is run by scripts/conformance/run.
# usage: FAPID=PROGRAM conformance.sh ISSUER DIRECTORY   (DIRECTORY is fapid's .fapid)
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
issuer=$1 directory=$2
api() { curl --silent --show-error --fail-with-body --cacert "$directory/ca.pem" "$@"; }
for auth in mtls private_key_jwt; do
	for sender in mtls dpop; do
		../conformance/configuration "$issuer" "$directory" "$auth" "$sender" >"$work/plan"
		jq -e --arg certified "$([ $auth-$sender = private_key_jwt-dpop ] || echo yes)" '
			def client: .client_id != "" and .scope == "accounts" and (.jwks.keys | length == 1 and all(.alg and .kid and .d));
			(.client | client) and (.client2 | client) and .client.jwks != .client2.jwks and (.resource.resourceUrl | endswith("/bank/accounts"))
			and if $certified == "" then (has("mtls") or has("mtls2") | not) else ([.mtls, .mtls2] | all(.cert and .ca and .key)) and .mtls.cert != .mtls2.cert end
		' "$work/plan" >/dev/null || { echo "the configuration for $auth, $sender is not whole" >&2; exit 1; }
		api "$(jq -r .server.discoveryUrl "$work/plan")" >"$work/metadata"
		echo "ok  configuration  $auth, $sender"
		[ $auth-$sender = mtls-mtls ] || continue
		for number in '' 2; do
			jq -r ".mtls$number | .cert + .ca" "$work/plan" >"$work/cert"
			jq -r ".mtls$number.key" "$work/plan" >"$work/key"
			token=$(api --cert "$work/cert" --key "$work/key" "$(jq -r .mtls_endpoint_aliases.token_endpoint "$work/metadata")" \
				-d grant_type=client_credentials -d client_id="$(jq -r ".client$number.client_id" "$work/plan")" | jq -r .access_token)
			api --cert "$work/cert" --key "$work/key" --header "Authorization: Bearer $token" "$(jq -r .resource.resourceUrl "$work/plan")" | jq -e '.Data.Account | length > 0' >/dev/null
			echo "ok  a token and the bank  client$number"
		done
	done
done
