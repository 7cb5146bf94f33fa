// oauth4webapi 3 against `fapid dev`: discovery, client credentials, signed
// introspection (RFC 9701), revocation, DPoP with nonces, refresh tokens, and the
// refusals a client must see.
// Usage: node oauth4webapi.mjs ISSUER DIRECTORY   (DIRECTORY is fapid's .fapid)
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import * as oauth from 'oauth4webapi'
import { importPKCS8 } from 'jose'
import { Agent, fetch } from 'undici'

const [issuer, directory] = process.argv.slice(2)
const file = (...path) => readFileSync([directory, ...path].join('/'), 'utf8')
const ca = file('ca.pem')
const dispatcher = (id) => new Agent({
  connect: id ? { ca, cert: file('clients', id, 'transport.pem'), key: file('clients', id, 'transport.key') } : { ca },
})
const through = (id) => {
  const agent = dispatcher(id)
  return { [oauth.customFetch]: (url, options) => fetch(url, { ...options, dispatcher: agent }) }
}

for (const algorithm of ['oidc', 'oauth2']) {
  const response = await oauth.discoveryRequest(new URL(issuer), { algorithm, ...through() })
  await oauth.processDiscoveryResponse(new URL(issuer), response)
  console.log(`ok  discovery  ${algorithm}`)
}
const as = await oauth.processDiscoveryResponse(new URL(issuer), await oauth.discoveryRequest(new URL(issuer), through()))

// tls_client_auth, through the aliases.
const tls = { client_id: 'tpp-tls', use_mtls_endpoint_aliases: true }
const mutual = { ...through('tpp-tls') }
const auth = oauth.TlsClientAuth()
const granted = await oauth.processClientCredentialsResponse(as, tls, await oauth.clientCredentialsGrantRequest(as, tls, auth, { scope: 'accounts' }, mutual))
assert.equal(granted.scope, 'accounts')
const signed = await oauth.introspectionRequest(as, tls, auth, granted.access_token, { ...mutual, requestJwtResponse: true })
assert.match(signed.headers.get('content-type'), /^application\/token-introspection\+jwt/)
assert.equal((await oauth.processIntrospectionResponse(as, tls, signed)).active, true)
await oauth.processRevocationResponse(await oauth.revocationRequest(as, tls, auth, granted.access_token, mutual))
console.log('ok  tls_client_auth, signed introspection, revocation')

// private_key_jwt, and a scope that is refused.
const jwt = { client_id: 'tpp-jwt' }
const { kid } = JSON.parse(file('clients', 'tpp-jwt', 'signing.jwk'))
const key = await importPKCS8(file('clients', 'tpp-jwt', 'signing.key'), 'PS256')
const asserted = oauth.PrivateKeyJwt({ key, kid })
await oauth.processClientCredentialsResponse(as, jwt, await oauth.clientCredentialsGrantRequest(as, jwt, asserted, { scope: 'payments' }, through()))
await assert.rejects(
  oauth.clientCredentialsGrantRequest(as, jwt, asserted, { scope: 'unheard-of' }, through()).then((r) => oauth.processClientCredentialsResponse(as, jwt, r)),
  (error) => error.error === 'invalid_scope',
)
console.log('ok  private_key_jwt, invalid_scope')

// tls_client_auth with somebody else's certificate.
await assert.rejects(
  oauth.clientCredentialsGrantRequest(as, tls, auth, { scope: 'accounts' }, through('tpp-san')).then((r) => oauth.processClientCredentialsResponse(as, tls, r)),
  (error) => error.error === 'invalid_client' && error.status === 401,
)
console.log('ok  another certificate is invalid_client')

// DPoP with nonces, as the library wants it done: the handle keeps the nonce of a
// refusal, and the request is made again.
const nonce = { client_id: 'nonce-dpop' }
const proving = oauth.PrivateKeyJwt({
  key: await importPKCS8(file('clients', 'tpp-dpop', 'signing.key'), 'ES256'),
  kid: JSON.parse(file('clients', 'tpp-dpop', 'signing.jwk')).kid,
})
const DPoP = oauth.DPoP(nonce, await oauth.generateKeyPair('ES256'))
const proven = { ...through(), DPoP }
let asked = 0
async function again(request) {
  asked++
  return request().catch((error) => {
    if (!oauth.isDPoPNonceError(error)) throw error
    asked++
    return request()
  })
}
const grant = async (client) => oauth.processClientCredentialsResponse(as, client, await oauth.clientCredentialsGrantRequest(as, client, proving, { scope: 'accounts' }, proven))
const bound = await again(() => grant(nonce))
assert.equal(bound.token_type, 'dpop')
assert.equal(asked, 2)
const accounts = new URL('/bank/accounts', issuer)
const call = (token, options) => oauth.protectedResourceRequest(token, 'GET', accounts, undefined, undefined, options)
assert.equal((await again(() => call(bound.access_token, proven))).status, 200)
assert.equal(asked, 3) // it has the nonce
const stranger = { ...proven, DPoP: oauth.DPoP(nonce, await oauth.generateKeyPair('ES256')) }
await assert.rejects(again(() => call(bound.access_token, stranger)), (error) => error.status === 401 && error.cause[0].parameters.error === 'invalid_token')
assert.equal(asked, 5)
await assert.rejects(call(bound.access_token, through()), (error) => error.status === 401)
const reported = await oauth.processIntrospectionResponse(as, nonce, await oauth.introspectionRequest(as, nonce, proving, bound.access_token, through()))
assert.equal(reported.cnf.jkt, await DPoP.calculateThumbprint())
await oauth.processRevocationResponse(await oauth.revocationRequest(as, nonce, proving, bound.access_token, through()))
await assert.rejects(call(bound.access_token, proven), (error) => error.status === 401)
console.log('ok  DPoP with nonces, the bank, introspection, revocation')

// Refresh tokens, with a proof and without.
async function refreshed(client, auth, options) {
  const inspect = async (token) => oauth.processIntrospectionResponse(as, client, await oauth.introspectionRequest(as, client, auth, token, { ...options, DPoP: undefined }))
  const renew = async (token, options) => oauth.processRefreshTokenResponse(as, client, await oauth.refreshTokenGrantRequest(as, client, auth, token, options))
  const first = await oauth.processClientCredentialsResponse(as, client, await oauth.clientCredentialsGrantRequest(as, client, auth, { scope: 'accounts' }, options))
  assert.equal((await inspect(first.refresh_token)).active, true)
  const second = await renew(first.refresh_token, options)
  assert.equal(second.token_type, first.token_type)
  assert.equal((await inspect(second.access_token)).active, true)
  await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, auth, second.refresh_token, { ...options, DPoP: undefined }))
  for (const dead of [second.refresh_token, second.access_token, first.access_token]) assert.equal((await inspect(dead)).active, false)
  await assert.rejects(renew(second.refresh_token, options), (error) => error.error === 'invalid_grant')
  console.log(`ok  refresh, introspection and revocation of refresh tokens  ${client.client_id}`)
}
await refreshed({ client_id: 'refresh-jwt' }, asserted, through())
await refreshed({ client_id: 'refresh-dpop' }, proving, { ...through(), DPoP: oauth.DPoP({}, await oauth.generateKeyPair('ES256')) })
await refreshed({ client_id: 'refresh-tls', use_mtls_endpoint_aliases: true }, auth, mutual)
await refreshed({ client_id: 'basic-encoded' }, oauth.ClientSecretBasic('a secret: 100% & +more'), through())
await refreshed({ client_id: 'refresh-post' }, oauth.ClientSecretPost('verysecret'), through())
