// jose and openid-client against the directory of `fapid dev`: a token for it, the
// software statement verified with the published keys, and the key sets as a bank
// reads them, over plain server TLS.
// Usage: node directory.mjs ISSUER DIRECTORY   (DIRECTORY is fapid's .fapid)
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import * as client from 'openid-client'
import { createLocalJWKSet, importPKCS8, jwtVerify, SignJWT } from 'jose'
import { Agent, fetch } from 'undici'

const [issuer, directory] = process.argv.slice(2)
const file = (...path) => readFileSync([directory, ...path].join('/'), 'utf8')
const ca = file('ca.pem')
const base = JSON.parse(file('running.json')).directory
const organisation = '7c9e6a1e-1c5d-4f53-9a63-1d2f5b8a4e01'
const software = { tls: '5d0f1a52-7c3e-4b6d-9e21-3c8a4f7b10a1', jwt: '5d0f1a52-7c3e-4b6d-9e21-3c8a4f7b10a4' }

const anybody = new Agent({ connect: { ca } })
const participant = new Agent({ connect: { ca, cert: file('clients', 'tpp-tls', 'transport.pem'), key: file('clients', 'tpp-tls', 'transport.key') } })
const read = async (path, options = {}) => {
  const response = await fetch(path.startsWith('https:') ? path : base + path, { dispatcher: anybody, ...options })
  assert.equal(response.status, 200, `${path}: ${response.status}`)
  return response
}

const config = await client.discovery(new URL(issuer), 'tpp-tls', { use_mtls_endpoint_aliases: true }, client.TlsClientAuth(), {
  [client.customFetch]: (url, options) => fetch(url, { ...options, dispatcher: participant }),
})
const { access_token: token } = await client.clientCredentialsGrant(config, { scope: 'directory:software' })
const own = (path, headers = {}) => read(`/organisations/${organisation}${path}`, { dispatcher: participant, headers: { authorization: `Bearer ${token}`, ...headers } })
assert.equal((await (await own('')).json()).OrganisationId, organisation)
console.log('ok  a token for the directory, and the own organisation by it')

const issuers = createLocalJWKSet(await (await read('/openbanking.jwks')).json())
for (const [ecosystem, iss] of Object.entries({ brazil: 'Open Banking Open Banking Brasil sandbox SSA issuer', uk: 'OpenBanking Ltd', cdr: 'cdr-register', rfc7591: base })) {
  const assertion = await (await own(`/softwarestatements/${software.tls}/assertion?ecosystem=${ecosystem}`, { accept: 'application/jwt; charset=utf-8' })).text()
  const { payload, protectedHeader } = await jwtVerify(assertion, issuers, { issuer: iss, algorithms: ['PS256'], typ: 'JWT' })
  assert.equal(payload.software_id, software.tls)
  assert.equal(protectedHeader.alg, 'PS256')
}
console.log('ok  software statements of four ecosystems verify with the published keys')

// The client's signing key is where the statement says, and verifies what it signs.
const statement = await jwtVerify(await (await own(`/softwarestatements/${software.jwt}/assertion`)).text(), issuers)
const set = await (await read(statement.payload.software_jwks_uri)).json()
const { kid } = JSON.parse(file('clients', 'tpp-jwt', 'signing.jwk'))
const signed = await new SignJWT({}).setProtectedHeader({ alg: 'PS256', kid }).sign(await importPKCS8(file('clients', 'tpp-jwt', 'signing.key'), 'PS256'))
await jwtVerify(signed, createLocalJWKSet(set))
console.log('ok  what the client signs verifies with software_jwks_uri')

for (const where of [statement.payload.software_jwks_uri, statement.payload.software_jwks_transport_uri]) {
  const { keys } = await (await read(where)).json()
  assert.ok(keys.length > 0)
  for (const key of keys) {
    assert.equal(key.use === 'tls', where.endsWith('/transport.jwks'))
    if (!key.x5u) continue
    const certificate = new X509Certificate(await (await read(key.x5u)).text())
    assert.deepEqual(certificate.publicKey.export({ format: 'jwk' }), { kty: key.kty, n: key.n, e: key.e })
    assert.equal(certificate.raw.toString('base64'), key.x5c[0])
    assert.ok(key.x5dn.includes('CN=tpp-jwt'))
  }
}
console.log('ok  transport keys and others are apart, and certificates where x5u says')

const participants = await (await read('/participants')).json()
const bank = participants.flatMap((p) => p.AuthorisationServers).find((s) => s.Issuer === issuer)
const discovered = await (await fetch(bank.OpenIDDiscoveryDocument, { dispatcher: anybody })).json()
assert.equal(discovered.issuer, issuer)
console.log('ok  the sandbox is in the list of participants')
