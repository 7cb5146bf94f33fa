#!/usr/bin/env bash
# Asgardeo's token request and its SCIM 2.0 requests for users as its documentation
# has them, host and port changed.
# usage: asgardeo.sh ISSUER DIRECTORY   (DIRECTORY is fapid's .fapid)
set -euo pipefail
issuer=$1 ca=$2/ca.pem
scopes='internal_user_mgt_list internal_user_mgt_view internal_user_mgt_create internal_user_mgt_update internal_user_mgt_delete'

answer=$(curl --silent --show-error --fail-with-body --cacert "$ca" -X POST \
	"$issuer/t/myorg/oauth2/token" \
	-u 'my-app:my-app-secret' \
	-H 'Content-Type: application/x-www-form-urlencoded' \
	-d "grant_type=client_credentials&scope=$scopes")
token=$(printf '%s' "$answer" | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
case $token in
eyJ* | '{'*) echo "$answer: no opaque token" >&2; exit 1 ;;
*) echo 'ok  an opaque token' ;;
esac

answer=$(curl --silent --show-error --fail-with-body --cacert "$ca" "$issuer/t/myorg/oauth2/introspect" -u 'my-app:my-app-secret' -d "token=$token")
for expected in '"active":true' '"azp":"my-app"' '"aut":"APPLICATION"' '"nbf":'; do
	case $answer in
	*"$expected"*) echo "ok  $expected" ;;
	*) echo "$expected is not in $answer" >&2; exit 1 ;;
	esac
done

# scim METHOD PATH STATUS [BODY]: the answer has that status; its body is in $body.
scim() {
	local status
	body=$(curl --silent --show-error --cacert "$ca" -X "$1" "$issuer/t/myorg/scim2$2" \
		-H 'accept: application/scim+json' -H 'Content-Type: application/scim+json' -H "Authorization: Bearer $token" \
		--write-out '\n%{http_code}' ${4:+-d "$4"})
	status=${body##*$'\n'}
	body=${body%$'\n'*}
	[ "$status" = "$3" ] || { echo "$1 $2: $status, not $3: $body" >&2; exit 1; }
}
expect() {
	case $body in
	*"$2"*) echo "ok  $1" ;;
	*) echo "$1: $2 is not in $body" >&2; exit 1 ;;
	esac
}

scim GET /Users 200
expect 'the users of the organization' '"userName":"alice"'

scim POST /Users 201 '{
	"schemas": [],
	"name": {"givenName": "Kim", "familyName": "Berry"},
	"userName": "DEFAULT/kim@gmail.com",
	"password": "aBcd!23#",
	"emails": [{"value": "kim@gmail.com", "primary": true}],
	"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"manager": {"value": "Taylor"}},
	"urn:scim:wso2:schema": {"verifyEmail": true}
}'
expect 'a user is created' '"manager":{"value":"Taylor"}'
id=$(printf '%s' "$body" | sed 's/.*"id":"\([^"]*\)".*/\1/')

scim GET "/Users?filter=userName%20eq%20%22DEFAULT%2Fkim%40gmail.com%22" 200
expect 'found by userName' '"totalResults":1'

scim POST /Users/.search 200 '{
	"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],
	"attributes": ["name.familyName", "userName"],
	"filter": "userName sw default/ki and name.familyName co err",
	"domain": "PRIMARY",
	"startIndex": 1,
	"count": 10
}'
expect 'found by search' '"familyName":"Berry"'

scim PATCH "/Users/$id" 200 '{
	"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
	"Operations": [{"op": "add", "value": {"nickName": "shaggy"}}]
}'
expect 'patched' '"nickName":"shaggy"'

scim PUT "/Users/$id" 200 '{
	"schemas": [],
	"name": {"givenName": "Kim", "familyName": "Berry"},
	"userName": "DEFAULT/kim@gmail.com",
	"emails": [{"value": "kim@gmail.com", "primary": true}]
}'
expect 'replaced' '"familyName":"Berry"'

scim DELETE "/Users/$id" 204
scim GET "/Users/$id" 404
expect 'deleted' '"status":"404"'

# A token for one thing is good for that and nothing else.
token=$(curl --silent --show-error --fail-with-body --cacert "$ca" -X POST "$issuer/t/myorg/oauth2/token" -u 'my-app:my-app-secret' \
	-d 'grant_type=client_credentials&scope=internal_user_mgt_list' | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
scim GET /Users 200
scim DELETE "/Users/$id" 403
expect 'a token to list users deletes none' '"status":"403"'
