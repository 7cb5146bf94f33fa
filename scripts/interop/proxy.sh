#!/usr/bin/env bash
# usage: FAPID=PROGRAM scripts/interop/proxy.sh     (scripts/interop/run sets FAPID)
# Runs the snippets of scripts/proxy, with ports and paths of their own, in front
# of a sandbox and of an API, and tokens, refusals and forgeries through them with
# curl.
# Needs nginx, haproxy, envoy, curl, jq and openssl.
set -euo pipefail
cd "$(dirname "$0")/../proxy"
PATH=$PATH:/usr/sbin
work=$(mktemp -d)
started=()
stop() {
	for process in "${started[@]}"; do kill "$process" 2>/dev/null || true; done
	for process in "${started[@]}"; do wait "$process" 2>/dev/null || true; done
	started=()
}
trap 'stop; rm -rf "$work"' EXIT
fail() { echo "FAILED  $*" >&2; exit 1; }

# until_works COMMAND ...: for two minutes, because a first start makes two dozen RSA
# keys, which takes a slow machine long.
until_works() {
	for _ in $(seq 1200); do "$@" >/dev/null 2>&1 && return; sleep 0.1; done
	tail -n 20 "$work"/*.log >&2
	fail "$* never worked"
}

# Ports: 186xx of fapid, 187xx of the proxy.
auth=auth.example.com:18743 mtls=mtls.example.com:18744
own=(--noproxy '*' --silent --cacert "$work/tls/fapid-ca.pem")
direct=("${own[@]}" --connect-to "$auth:127.0.0.1:18643" --connect-to "$mtls:127.0.0.1:18644")
through=("${own[@]}" --resolve "$auth:127.0.0.1" --resolve "$mtls:127.0.0.1" --cacert "$work/tls/server.pem")

start_fapid() { # FORMAT
	FAPID_LISTENERS__STANDARD__URL=https://$auth FAPID_LISTENERS__MTLS__URL=https://$mtls \
		FAPID_REALMS__DEFAULT__ISSUER=https://$auth FAPID_REALMS__STRICT__ISSUER=https://$auth/realms/strict \
		FAPID_REALMS__MYREALM__ISSUER=https://$auth/realms/myrealm FAPID_REALMS__CERN__ISSUER=https://$auth/auth/realms/cern \
		FAPID_REALMS__MYORG__ISSUER=https://$auth/t/myorg/oauth2/token FAPID_REALMS__AIDBOX__ISSUER=https://$auth/aidbox \
		FAPID_REALMS__CDR__ISSUER=https://$auth/realms/cdr FAPID_REALMS__UAE__ISSUER=https://$auth/realms/uae \
		FAPID_PROXY__TRUSTED=127.0.0.1/32 FAPID_PROXY__FORMAT=$1 FAPID_GATEWAYS__TRUSTED=127.0.0.1/32 FAPID_GATEWAYS__FORMAT=$1 \
		FAPID_REALMS__DEFAULT__TRUST__CAS=$work/foreign.pem \
		"$FAPID" dev --dir "$work/sandbox" --port 18643 --mtls-port 18644 --admin-port 19600 --directory-port 18645 >"$work/fapid.log" 2>&1 &
	started+=($!)
	until_works curl --silent --fail http://localhost:19600/readyz
	cp "$work/sandbox/ca.pem" "$work/tls/fapid-ca.pem"
}

# A snippet as it stands, but for folders and ports, and on loopback.
adapt() {
	sed -e "s#/etc/[a-z]*/#$work/#g; s#\b18443#18643#; s#\b18444#18644#; s#\b8443\b#18643#" \
		-e 's#\b443\b#18743#; s#\b8444\b#18744#; s#\b9443\b#18745#; s#\b9001\b#18746#' \
		-e 's#listen 1#listen 127.0.0.1:1#; s#bind :#bind 127.0.0.1:#; s#0[.]0[.]0[.]0#127.0.0.1#' "$1"
}

serve_nginx() { # NAME: with what is on standard input
	{
		echo "daemon off; error_log $work/$1.log; pid $work/$1.pid; events {} http { access_log off;"
		for kind in client_body proxy fastcgi uwsgi scgi; do echo "${kind}_temp_path $work/$kind;"; done
		cat
		echo "}"
	} >"$work/$1.conf"
	nginx -p "$work" -c "$work/$1.conf" -e "$work/$1.log" &
	started+=($!)
}
start_nginx() { serve_nginx nginx < <(adapt nginx.conf; adapt nginx-api.conf); }

# The API behind a gateway, which shows what it is told.
start_api() {
	serve_nginx api <<-'END'
		server {
			listen 127.0.0.1:18746;
			default_type text/plain;
			return 200 "$request_method $request_uri client=$http_x_fapid_client_id subject=$http_x_fapid_subject scope=$http_x_fapid_scope roles=$http_x_fapid_roles token=$http_authorization$http_dpop trace=$http_x_fapid_trace\n";
		}
	END
}

start_haproxy() {
	adapt haproxy.cfg >"$work/haproxy.cfg"
	cp client-cert-chain.lua "$work"
	haproxy -db -q -f "$work/haproxy.cfg" >"$work/haproxy.log" 2>&1 &
	started+=($!)
}

start_envoy() {
	for file in envoy envoy-api; do
		adapt "$file.yaml" >"$work/$file.yaml"
		envoy --disable-hot-restart --log-level warn -c "$work/$file.yaml" >"$work/$file.log" 2>&1 &
		started+=($!)
	done
}

# expect WHAT STATUS TEXT CLIENT CURL-ARGUMENTS: with the certificate of a client,
# or of none (-), the answer has the status and the text.
expect() {
	local what=$1 want=$2 text=$3 pair=()
	[ "$4" = - ] || pair=(--cert "$clients/$4/transport.pem" --key "$clients/$4/transport.key")
	shift 4
	curl --write-out '\n%{http_code}' "${pair[@]}" "$@" >"$work/answer" || fail "$proxy: $what: no answer"
	if [ "$(tail -n 1 "$work/answer")" != "$want" ] || ! grep -qi -- "$text" "$work/answer"; then
		fail "$proxy: $what: not $want $text but: $(cat "$work/answer")"
	fi
	echo "ok  $proxy: $what"
}
token=(--data grant_type=client_credentials --data scope=accounts --data client_id=tpp-tls "https://$mtls/token")

# What openssl makes of a certificate: x5t#S256, and the header of each format.
thumbprint() { openssl x509 -in "$1" -outform DER | openssl dgst -sha256 -binary | base64 | tr '+/' '-_' | tr -d '=\n'; }
escaped() { openssl x509 -in "$1" | sed 's/ /%20/g; s/$/%0A/' | tr -d '\n'; }
header() { # FORMAT FILE
	case $1 in
	rfc9440) echo "Client-Cert: :$(openssl x509 -in "$2" -outform DER | base64 -w 0):" ;;
	pem-escaped) echo "X-SSL-Client-Cert: $(escaped "$2")" ;;
	xfcc) echo "X-Forwarded-Client-Cert: Cert=\"$(escaped "$2")\"" ;;
	esac
}

# A foreign CA, of which the sandbox knows the root only.
issue() { # KIND SUBJECT KEY CERTIFICATE DAYS ISSUER...
	openssl req -new -newkey rsa:2048 -nodes -utf8 -subj "$2" -keyout "$3" -out "$work/csr" 2>>"$work/openssl.out"
	openssl x509 -req -in "$work/csr" -days "$5" -extfile "$work/extensions" -extensions "$1" -out "$4" "${@:6}" 2>>"$work/openssl.out"
}
foreign_ca() {
	local kind
	for kind in root intermediate; do
		printf '[%s]\nbasicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n' "$kind"
	done >"$work/extensions"
	printf '[leaf]\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth\n' >>"$work/extensions"
	issue root "/O=Foreign/CN=Root" "$work/root.key" "$work/foreign.pem" 30 -key "$work/root.key"
	issue intermediate "/O=Foreign/CN=Intermediate" "$work/ca.key" "$work/ca.pem" 30 -CA "$work/foreign.pem" -CAkey "$work/root.key" -CAcreateserial
}

# Two certificates from it with the subject of tpp-tls; one expires at once.
foreign_clients() {
	local subject name days
	subject=$(openssl x509 -in "$clients/tpp-tls/transport.pem" -noout -subject -nameopt compat | sed 's/^subject= *//')
	for name in foreign expired; do
		mkdir -p "$clients/$name"
		days=30
		[ $name = foreign ] || days=0
		issue leaf "$subject" "$clients/$name/transport.key" "$work/leaf.pem" "$days" -CA "$work/ca.pem" -CAkey "$work/ca.key" -CAcreateserial
		cat "$work/leaf.pem" "$work/ca.pem" "$work/foreign.pem" >"$clients/$name/transport.pem"
	done
}

change_client() { # FILTER: of jq, on the registration of tpp-tls
	"$FAPID" client show tpp-tls --dir "$work/sandbox" --json | jq "$1" | "$FAPID" client put --dir "$work/sandbox" -f - >/dev/null
}

journey() { # FORMAT: what must hold through any proxy
	local cert=$clients/tpp-tls/transport.pem spoof bearer name
	expect "discovery names the proxy" 200 "\"token_endpoint\": \"https://$mtls/token\"" - "${through[@]}" "https://$auth/.well-known/openid-configuration"
	expect "a token by tls_client_auth" 200 '"access_token"' tpp-tls "${through[@]}" "${token[@]}"
	sed -n 's/.*"access_token":"\([^"]*\)".*/\1/p' "$work/answer" >"$work/token"
	cut -d. -f2 "$work/token" | tr '_-' '/+' | sed 's/$/==/' | base64 -di 2>/dev/null | grep -q "\"x5t#S256\":\"$(thumbprint "$cert")\"" ||
		fail "$proxy: cnf is not the thumbprint $(thumbprint "$cert")"
	echo "ok  $proxy: cnf is the thumbprint that openssl computes"
	bearer="Authorization: Bearer $(cat "$work/token")"
	expect "the bank" 200 '"Account"' tpp-tls "${through[@]}" --header "$bearer" "https://$mtls/bank/accounts"
	expect "the bank, with another certificate" 401 invalid_token tpp-san "${through[@]}" --header "$bearer" "https://$mtls/bank/accounts"
	expect "the bank, at the standard host" 401 invalid_token tpp-tls "${through[@]}" --header "$bearer" "https://$auth/bank/accounts"

	expect "no certificate" 401 invalid_client - "${through[@]}" "${token[@]}"
	expect "another client's certificate" 401 invalid_client tpp-san "${through[@]}" "${token[@]}"
	expect "a certificate of nobody known" 401 invalid_client tpp-self-signed "${through[@]}" "${token[@]}"
	expect "an expired certificate" 401 invalid_client expired "${through[@]}" "${token[@]}"
	expect "a self-signed client" 200 '"access_token"' tpp-self-signed "${through[@]}" --data grant_type=client_credentials --data client_id=tpp-self-signed "https://$mtls/token"
	expect "a Host that is not the server name" 421 '' tpp-tls "${through[@]}" --header "Host: ${auth/743/744}" "${token[@]}"

	# Headers that a client writes itself: no effect through the proxy, refused
	# from any other address, refused twice.
	for format in rfc9440 pem-escaped xfcc; do
		spoof=$(header "$format" "$cert")
		name=${spoof%%:*}
		expect "$name from a client" 401 invalid_client - "${through[@]}" --header "$spoof" "${token[@]}"
		expect "$name from a client, in capitals" 401 invalid_client - "${through[@]}" --header "${name^^}:${spoof#*:}" "${token[@]}"
		expect "$name from a client, with '_'" 401 invalid_client - "${through[@]}" --header "${name//-/_}:${spoof#*:}" "${token[@]}"
		expect "$name from a client with another certificate" 401 invalid_client tpp-san "${through[@]}" --header "$spoof" "${token[@]}"
		expect "$name from a client with the right certificate" 200 '"access_token"' tpp-tls "${through[@]}" --header "$(header "$format" "$clients/tpp-san/transport.pem")" "${token[@]}"
		expect "$name at the standard host" 401 invalid_client - "${through[@]}" --header "$spoof" "${token[@]/#https:*/https://$auth/token}"
		expect "$name past the proxy, from another address" 400 invalid_request - "${direct[@]}" --interface 127.0.0.2 --header "$spoof" "${token[@]}"
		expect "$name past the proxy, at the standard listener" 400 invalid_request - "${direct[@]}" --header "$spoof" "${token[@]/#https:*/https://$auth/token}"
	done
	spoof=$(header "$1" "$cert")
	expect "the header once, from the proxy's address" 200 '"access_token"' - "${direct[@]}" --header "$spoof" "${token[@]}"
	expect "the header twice" 400 invalid_request - "${direct[@]}" --header "$spoof" --header "$spoof" "${token[@]}"
	expect "the header unreadable" 400 invalid_request - "${direct[@]}" --header "${spoof%?????????}" "${token[@]}"
	expect "a connection of one's own, from another address" 200 '"access_token"' tpp-tls "${direct[@]}" --interface 127.0.0.2 "${token[@]}"
}

# An API behind nginx-api.conf or envoy-api.yaml.
api=api.example.com:18745
behind=(--noproxy '*' --silent --resolve "$api:127.0.0.1" --cacert "$work/tls/server.pem" --include)
proof() { "$FAPID" dpop tpp-dpop "$@" --dir "$work/sandbox"; }
token_in() { sed -n 's/.*"access_token":"\([^"]*\)".*/\1/p'; }
fetch() { # CLIENT FORM ...: a token by its certificate, through the proxy
	local id=$1 form=()
	shift
	for _ in "$@"; do form+=(--data "$1"); shift; done
	curl "${through[@]}" --cert "$clients/$id/transport.pem" --key "$clients/$id/transport.key" --data grant_type=client_credentials --data client_id="$id" "${form[@]}" "https://$mtls/token" | token_in
}
assert() { # CLIENT CURL-ARGUMENTS: a token by its key, for the API
	local id=$1
	shift
	curl "${through[@]}" "$@" --data grant_type=client_credentials --data scope=accounts --data audience=https://api.example.com --data client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer \
		--data client_assertion="$("$FAPID" assertion "$id" --aud "https://$auth" --dir "$work/sandbox")" "https://$auth/token" | token_in
}

gateway() { # STATUS: of two tokens, which nginx refuses by itself and Envoy makes one of
	local bearer other issued
	issued=$(fetch tpp-tls scope=accounts audience=https://api.example.com)
	bearer=(--header "Authorization: Bearer $issued")
	expect "the API, with the token's certificate" 200 'GET /accounts?page=2 client=tpp-tls subject=tpp-tls scope=accounts roles= token= trace=[0-9a-f]' tpp-tls "${behind[@]}" "${bearer[@]}" "https://$api/accounts?page=2"
	expect "a POST with a body" 200 'POST /accounts client=tpp-tls' tpp-tls "${behind[@]}" "${bearer[@]}" --data '{"x":"y"}' "https://$api/accounts"
	expect "another certificate" 401 'WWW-Authenticate: Bearer .*error="invalid_token", error_description="the access token is bound to another certificate"' tpp-san "${behind[@]}" "${bearer[@]}" "https://$api/accounts"
	expect "no certificate" 401 'error="invalid_token"' - "${behind[@]}" "${bearer[@]}" "https://$api/accounts"
	expect "an expired certificate" 401 'error="invalid_token"' expired "${behind[@]}" "${bearer[@]}" "https://$api/accounts"
	expect "the certificate in a header" 401 'error="invalid_token"' - "${behind[@]}" "${bearer[@]}" --header "$(header pem-escaped "$clients/tpp-tls/transport.pem")" "https://$api/accounts"
	expect "no token" 401 'WWW-Authenticate: Bearer realm=' tpp-tls "${behind[@]}" "https://$api/accounts"
	expect "no token: a trace" 401 'X-Fapid-Trace: [0-9a-f]\{16\}' tpp-tls "${behind[@]}" "https://$api/accounts"
	expect "two tokens" "$1" "" tpp-tls "${behind[@]}" "${bearer[@]}" "${bearer[@]}" "https://$api/accounts"
	expect "a token for another API" 401 'for another API' tpp-tls "${behind[@]}" --header "Authorization: Bearer $(fetch tpp-tls scope=accounts)" "https://$api/accounts"
	expect "a token without the scope" 403 'WWW-Authenticate: Bearer .*error="insufficient_scope"' tpp-tls "${behind[@]}" --header "Authorization: Bearer $(fetch tpp-tls scope=payments audience=https://api.example.com)" "https://$api/accounts"
	expect "a token bound to nothing" 401 'bound to nothing' - "${behind[@]}" --header "Authorization: Bearer $(assert tpp-jwt)" "https://$api/accounts"
	expect "headers for the API, from the client" 200 'client=tpp-tls subject=tpp-tls scope=accounts roles= token=' tpp-tls "${behind[@]}" "${bearer[@]}" --header 'X-Fapid-Subject: admin' --header 'X-Fapid-Roles: admin' --header 'X_Fapid_Roles: admin' --header 'x-fapid-client-id: admin' "https://$api/accounts"
	expect "a query that looks like the check's" 200 'client=tpp-tls' tpp-tls "${behind[@]}" "${bearer[@]}" "https://$api/accounts?a=b&scope=admin&audience=x&bound=false&request=GET:/x"
	expect "the check, through the proxy of fapid" 404 '' - "${through[@]}" "${bearer[@]}" "https://$auth/authz?scope="
	expect "the check, through the proxy's mTLS listener" 404 '' tpp-tls "${through[@]}" "${bearer[@]}" "https://$mtls/authz?scope="
	expect "the check, from another address" 400 invalid_request - "${direct[@]}" --interface 127.0.0.2 "${bearer[@]}" "https://$auth/authz?scope="

	other=$(assert tpp-dpop --header "DPoP: $(proof POST "https://$auth/token")")
	bearer=(--header "Authorization: DPoP $other")
	expect "a DPoP token" 200 'POST /accounts/1?a=b client=tpp-dpop' - "${behind[@]}" "${bearer[@]}" --header "DPoP: $(proof POST "https://$api/accounts/1" --ath "$other")" --data x "https://$api/accounts/1?a=b"
	expect "a DPoP proof for another method" 401 'WWW-Authenticate: DPoP .*error="invalid_dpop_proof"' - "${behind[@]}" "${bearer[@]}" --header "DPoP: $(proof GET "https://$api/accounts/1" --ath "$other")" --data x "https://$api/accounts/1"
	expect "a DPoP proof for another path, which headers name" 401 'error="invalid_dpop_proof"' - "${behind[@]}" "${bearer[@]}" --header "DPoP: $(proof GET "https://$api/other" --ath "$other")" --header 'X-Original-URI: /other' --header 'X-Forwarded-Uri: /other' "https://$api/accounts"
	expect "a DPoP token without proof" 401 'error="invalid_dpop_proof"' - "${behind[@]}" "${bearer[@]}" "https://$api/accounts"
	expect "a DPoP token as Bearer" 401 'WWW-Authenticate: Bearer .*error="invalid_token"' - "${behind[@]}" --header "Authorization: Bearer $other" "https://$api/accounts"

	bearer=(--header "Authorization: Bearer $issued")
	expect "revocation" 200 '' tpp-tls "${through[@]}" --data client_id=tpp-tls --data "token=$issued" "https://$mtls/token/revocation"
	expect "a revoked token" 401 'error="invalid_token"' tpp-tls "${behind[@]}" "${bearer[@]}" "https://$api/accounts"
	change_client '.access_token_expiration = 1'
	issued=$(fetch tpp-tls scope=accounts audience=https://api.example.com)
	change_client 'del(.access_token_expiration)' # the next proxy has the same sandbox
	sleep 2
	expect "an expired token" 401 'error="invalid_token"' tpp-tls "${behind[@]}" --header "Authorization: Bearer $issued" "https://$api/accounts"
}

clients=$work/sandbox/clients
mkdir -p "$work/tls"
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=proxy -addext "subjectAltName=DNS:${auth%:*},DNS:${mtls%:*},DNS:${api%:*}" \
	-keyout "$work/tls/server.key" -out "$work/tls/server.pem" 2>/dev/null
cp "$work/tls/server.key" "$work/tls/server.pem.key" # where HAProxy looks
"$FAPID" config validate --config fapid.yaml >/dev/null || fail "fapid.yaml is not valid"
foreign_ca

proxy=nginx
start_fapid pem-escaped
foreign_clients
start_api
start_nginx
until_works curl "${through[@]}" --fail "https://$auth/.well-known/openid-configuration"
journey pem-escaped
expect "an intermediate that only the client has is not handed on" 401 invalid_client foreign "${through[@]}" "${token[@]}"
gateway 400
expect "the check itself" 404 '' tpp-tls "${behind[@]}" "https://$api/_fapid?scope="
stop

proxy=envoy
start_fapid xfcc
start_api
start_envoy
until_works curl "${through[@]}" --fail "https://$auth/.well-known/openid-configuration"
until_works curl "${behind[@]}" "https://$api/"
journey xfcc
expect "an intermediate that only the client has is handed on" 200 '"access_token"' foreign "${through[@]}" "${token[@]}"
gateway 401
stop

proxy=haproxy
start_fapid rfc9440
start_haproxy
until_works curl "${through[@]}" --fail "https://$auth/.well-known/openid-configuration"
journey rfc9440
expect "an intermediate that only the client has is handed on" 200 '"access_token"' foreign "${through[@]}" "${token[@]}"
