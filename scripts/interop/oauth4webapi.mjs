// oauth4webapi 3 against `fapid dev`: discovery, client credentials, signed
// introspection (RFC 9701), revocation, and the refusals a client must see.
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
