#!/usr/bin/env bash
# Participants of every ecosystem, with each method that it allows: the openid-client
# program and the Postman collection in the folder of each run as they stand, with the
# packages of this folder.
# usage: FAPID=fapid participant.sh ISSUER DIRECTORY   (DIRECTORY is fapid's .fapid)
set -euo pipefail
for way in raidiam:private_key_jwt:PS256 raidiam:private_key_jwt:ES256 raidiam:tls_client_auth:PS256 \
	uk:private_key_jwt:PS256 uk:tls_client_auth:PS256 brazil:private_key_jwt:PS256 brazil:tls_client_auth:PS256 \
	cdr:private_key_jwt:PS256 cdr:private_key_jwt:ES256 uae:private_key_jwt:PS256 rfc7591:private_key_jwt:PS256 rfc7591:tls_client_auth:PS256; do
	IFS=: read -r ecosystem method algorithm <<<"$way"
	name=$(tr ':_' '--' <<<"interop-$way" | tr '[:upper:]' '[:lower:]')
	"$FAPID" participant create "$name" --ecosystem "$ecosystem" --auth "$method" --alg "$algorithm" --dir "$2" >/dev/null
	folder=$2/participants/$name
	ln -s "$PWD/node_modules" "$folder/node_modules"
	printed=$(cd / && node "$folder/openid-client.mjs")
	for part in 'a token for ' 'active: true, bound to the certificate ' 'the bank: 200 {"Data":{"Account":\[{"AccountId":"10001"'; do
		grep -q "^$part" <<<"$printed" || { printf '%s: nothing like %s:\n%s\n' "$way" "$part" "$printed" >&2; exit 1; }
	done
	rm "$folder/node_modules"
	printed=$(node postman.js "$folder") || { printf '%s: postman_collection.json:\n%s\n' "$way" "$printed" >&2; exit 1; }
	for part in 'a token: 200' 'the bank: 200' 'introspection: 200'; do
		grep -qx "$part" <<<"$printed" || { printf '%s: postman_collection.json: nothing like %s:\n%s\n' "$way" "$part" "$printed" >&2; exit 1; }
	done
	"$FAPID" participant delete "$name" --dir "$2"
	[ ! -e "$folder" ] || { echo "$folder is still there" >&2; exit 1; }
	echo "ok  $ecosystem, $method, $algorithm"
done
