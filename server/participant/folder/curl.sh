#!/bin/sh
# {{.Record.Name}} ({{.Record.Ecosystem}}, {{.Record.Auth}}): a token{{if .At.Bank}}, the bank{{end}}, introspection{{if .At.Registration}}, the registration{{end}}{{if .At.Statement}}, a statement{{end}}.
# Needs curl{{if .Assertion}}, OpenSSL{{end}} and the running server. Run it in this folder line by line, or as a
# whole from anywhere.
set -eu
cd "$(dirname -- "$0")"
. ./.env

api() { curl --silent --show-error --fail-with-body --cacert "$CA_FILE" --cert "$CERT_FILE" --key "$CERT_KEY_FILE" "$@"; }
member() { sed -n 's/.*"'"$1"'":"\([^"]*\)".*/\1/p'; }
{{- if .Assertion}}
base64url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }
{{- if .EC}}
# The two numbers of an ECDSA signature, 32 bytes each (RFC 7518 section 3.4).
raw() {
  openssl asn1parse -inform DER | sed -n 's/.*INTEGER *://p' | while read -r number; do printf '%64s\n' "$number"; done |
    tr ' ' 0 | fold -w 2 | while read -r byte; do printf "\\$(printf %03o "0x$byte")"; done
}
signature() { openssl dgst -sha256 -sign "$SIGNING_KEY_FILE" -binary | raw; }
{{- else}}
signature() { openssl dgst -sha256 -sign "$SIGNING_KEY_FILE" -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest -binary; }
{{- end}}
# A client assertion (RFC 7523 section 2.2), good for a minute.
assertion() {
  now=$(date +%s)
  header=$(printf '{"alg":"%s","typ":"JWT","kid":"%s"}' "$SIGNING_ALG" "$KEY_ID" | base64url)
  claims=$(printf '{"iss":"%s","sub":"%s","aud":"%s","jti":"%s","iat":%s,"exp":%s}' \
    "$CLIENT_ID" "$CLIENT_ID" "$ISSUER" "$(openssl rand -hex 16)" "$now" "$((now + 60))" | base64url)
  printf '%s.%s.%s' "$header" "$claims" "$(printf '%s.%s' "$header" "$claims" | signature | base64url)"
}
who() { echo -d "client_id=$CLIENT_ID" -d client_assertion_type={{.AssertionType}} -d "client_assertion=$(assertion)"; }
{{- else}}
who() { echo -d "client_id=$CLIENT_ID"; }
{{- end}}

echo '# a token'
ANSWER=$(api "$TOKEN_ENDPOINT" -d grant_type=client_credentials $(who)) || { echo "$ANSWER"; exit 1; }
echo "$ANSWER"
TOKEN=$(echo "$ANSWER" | member access_token)
{{- if .At.Bank}}

echo '# the bank'
api -H "Authorization: Bearer $TOKEN" "$BANK"
{{- end}}

echo '
# introspection'
api "$INTROSPECTION_ENDPOINT" -d token="$TOKEN" $(who)
{{- if .At.RegistrationToken}}

echo '
# the registration, by its registration access token'
api -H "Authorization: Bearer $REGISTRATION_ACCESS_TOKEN" "$REGISTRATION_CLIENT_URI"
{{- else if .At.Registration}}

echo '
# the registration, by an access token'
api -H "Authorization: Bearer $TOKEN" "$REGISTRATION_CLIENT_URI"
{{- end}}
{{- if .At.Statement}}

echo '
# a fresh software statement, from the directory'
DIRECTORY_TOKEN=$(api "$DIRECTORY_TOKEN_ENDPOINT" -d grant_type=client_credentials -d client_id="$SOFTWARE_ID" -d scope=directory:software | member access_token)
api -H "Authorization: Bearer $DIRECTORY_TOKEN" "$DIRECTORY/organisations/$ORGANISATION_ID/softwarestatements/$SOFTWARE_ID/assertion?ecosystem=$DIRECTORY_ECOSYSTEM"
{{- end}}
echo
