// openid-client 6 against `fapid dev`: a token by TlsClientAuth through the mTLS
// aliases and by PrivateKeyJwt, introspected and revoked, the bank called.
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

await byCertificate('tpp-tls')
await byCertificate('tpp-san')
await byCertificate('tpp-self-signed')
await byKey('tpp-jwt', 'PS256')
await byKey('tpp-jwt-es256', 'ES256')
await bySecret('api-client', 'verysecret')
