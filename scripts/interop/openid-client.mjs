// openid-client 6 against `fapid dev`: a token by TlsClientAuth through the mTLS
// aliases, by PrivateKeyJwt and by a secret, introspected and revoked; the bank
// called; DPoP, with nonces; refresh tokens.
// Usage: node openid-client.mjs ISSUER DIRECTORY   (DIRECTORY is fapid's .fapid)
import assert from 'node:assert/strict'
import { createHash, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import * as client from 'openid-client'
import { importPKCS8 } from 'jose'
import { Agent, fetch } from 'undici'

const [issuer, directory] = process.argv.slice(2)
const file = (...path) => readFileSync([directory, ...path].join('/'), 'utf8')
const ca = file('ca.pem')

// Every call of one client goes through its own agent, with its certificate.
function fetchAs(id) {
  const connect = id ? { ca, cert: file('clients', id, 'transport.pem'), key: file('clients', id, 'transport.key') } : { ca }
  const dispatcher = new Agent({ connect })
  return (url, options) => fetch(url, { ...options, dispatcher })
}

async function lifecycle(config, parameters) {
  const answer = await client.clientCredentialsGrant(config, parameters)
  const before = await client.tokenIntrospection(config, answer.access_token)
  assert.equal(before.active, true)
  assert.equal(before.client_id, config.clientMetadata().client_id)
  return { token: answer.access_token, report: before }
}

async function end(config, token) {
  await client.tokenRevocation(config, token)
  assert.deepEqual(await client.tokenIntrospection(config, token), { active: false })
}

async function byCertificate(id) {
  const config = await client.discovery(new URL(issuer), id, { use_mtls_endpoint_aliases: true }, client.TlsClientAuth(), {
    [client.customFetch]: fetchAs(id),
  })
  const { token, report } = await lifecycle(config, { scope: 'accounts' })
  const der = new X509Certificate(file('clients', id, 'transport.pem')).raw
  assert.equal(report.cnf['x5t#S256'], createHash('sha256').update(der).digest('base64url'))
  const bank = new URL(config.serverMetadata().mtls_endpoint_aliases.token_endpoint.replace('/token', '/bank/accounts'))
  const accounts = await client.fetchProtectedResource(config, token, bank, 'GET')
  assert.equal(accounts.status, 200)
  await end(config, token)
  await assert.rejects(client.fetchProtectedResource(config, token, bank, 'GET'))
  console.log(`ok  TlsClientAuth  ${id}`)
}

async function byKey(id, algorithm) {
  const key = await importPKCS8(file('clients', id, 'signing.key'), algorithm)
  const { kid } = JSON.parse(file('clients', id, 'signing.jwk'))
  const config = await client.discovery(new URL(issuer), id, {}, client.PrivateKeyJwt({ key, kid }), { [client.customFetch]: fetchAs() })
  const { token, report } = await lifecycle(config, { scope: 'accounts' })
  assert.equal(report.cnf, undefined)
  assert.equal(JSON.parse(Buffer.from(token.split('.')[0], 'base64url')).alg, algorithm)
  await end(config, token)
  console.log(`ok  PrivateKeyJwt  ${id}`)
}

async function bySecret(id, secret) {
  const config = await client.discovery(new URL(issuer), id, {}, client.ClientSecretBasic(secret), { [client.customFetch]: fetchAs() })
  const { token } = await lifecycle(config, { scope: 'accounts' })
  await end(config, token)
  console.log(`ok  ClientSecretBasic  ${id}`)
}

// DPoP: the library makes the proofs, keeps the nonces and asks again where one is
// missing, at the token endpoint and at the bank.
async function byProof(id, nonces) {
  const key = await importPKCS8(file('clients', 'tpp-dpop', 'signing.key'), 'ES256')
  const { kid } = JSON.parse(file('clients', 'tpp-dpop', 'signing.jwk'))
  const through = fetchAs()
  const refusals = []
  const config = await client.discovery(new URL(issuer), id, {}, client.PrivateKeyJwt({ key, kid }), {
    [client.customFetch]: async (url, options) => {
      const response = await through(url, options)
      if (!response.ok) refusals.push(`${response.status} ${response.headers.get('dpop-nonce') ? 'nonce' : ''}`)
      return response
    },
  })
  const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'))
  const answer = await client.clientCredentialsGrant(config, { scope: 'accounts' }, { DPoP })
  assert.equal(answer.token_type, 'dpop')
  const report = await client.tokenIntrospection(config, answer.access_token)
  assert.equal(report.cnf.jkt, await DPoP.calculateThumbprint())
  const bank = new URL(config.serverMetadata().token_endpoint.replace('/token', '/bank/accounts'))
  for (let i = 0; i < 2; i++) {
    const accounts = await client.fetchProtectedResource(config, answer.access_token, bank, 'GET', undefined, undefined, { DPoP })
    assert.equal(accounts.status, 200)
    assert.ok((await accounts.json()).Data.Account.length > 0)
  }
  assert.deepEqual(refusals, nonces ? ['400 nonce'] : [])
  await assert.rejects(client.fetchProtectedResource(config, answer.access_token, bank, 'GET'))
  if (answer.refresh_token) {
    await assert.rejects(client.refreshTokenGrant(config, answer.refresh_token), (error) => error.status === 400)
    const next = await client.refreshTokenGrant(config, answer.refresh_token, undefined, { DPoP })
    assert.notEqual(next.access_token, answer.access_token)
    await end(config, next.refresh_token)
    await assert.rejects(client.fetchProtectedResource(config, next.access_token, bank, 'GET', undefined, undefined, { DPoP }))
  } else {
    await end(config, answer.access_token)
  }
  console.log(`ok  DPoP  ${id}${nonces ? ', with nonces' : ''}${answer.refresh_token ? ', refreshed' : ''}`)
}

// A refresh token: introspected, exchanged for less scope but not for more, and
// revoked, with the access tokens of its session.
async function refreshed(config) {
  const first = await client.clientCredentialsGrant(config, { scope: 'accounts payments' })
  const report = await client.tokenIntrospection(config, first.refresh_token, { token_type_hint: 'refresh_token' })
  assert.equal(report.active, true)
  const second = await client.refreshTokenGrant(config, first.refresh_token, { scope: 'accounts' })
  assert.equal(second.scope, 'accounts')
  assert.notEqual(second.refresh_token, first.refresh_token)
  await assert.rejects(client.refreshTokenGrant(config, second.refresh_token, { scope: 'openid' }), (error) => error.error === 'invalid_scope')
  await client.tokenRevocation(config, second.refresh_token, { token_type_hint: 'refresh_token' })
  for (const dead of [second.refresh_token, second.access_token, first.access_token]) {
    assert.deepEqual(await client.tokenIntrospection(config, dead), { active: false })
  }
  await assert.rejects(client.refreshTokenGrant(config, second.refresh_token), (error) => error.error === 'invalid_grant')
  console.log(`ok  refresh  ${config.clientMetadata().client_id}`)
}

await byCertificate('tpp-tls')
await byCertificate('tpp-san')
await byCertificate('tpp-self-signed')
await byKey('tpp-jwt', 'PS256')
await byKey('tpp-jwt-es256', 'ES256')
await bySecret('api-client', 'verysecret')
await byProof('tpp-dpop', false)
await byProof('nonce-dpop', true)
await byProof('refresh-dpop', false)
await refreshed(await client.discovery(new URL(issuer), 'refresh-tls', { use_mtls_endpoint_aliases: true }, client.TlsClientAuth(), { [client.customFetch]: fetchAs('tpp-tls') }))
await refreshed(await client.discovery(new URL(issuer), 'basic-encoded', {}, client.ClientSecretBasic('a secret: 100% & +more'), { [client.customFetch]: fetchAs() }))
await refreshed(await client.discovery(new URL(issuer), 'refresh-post', {}, client.ClientSecretPost('verysecret'), { [client.customFetch]: fetchAs() }))
