// A token by client credentials over mutual TLS with openid-client, introspected, and
// the bank called with it. Usage: npm install && node openid-client.mjs
import { readFileSync } from 'node:fs'
import { parseEnv } from 'node:util'
import * as client from 'openid-client'
import { Agent, fetch } from 'undici'

const file = (name) => readFileSync(new URL(name, import.meta.url), 'utf8')
const env = parseEnv(file('.env'))

// Every call presents the client certificate, and trusts the sandbox's CA.
const dispatcher = new Agent({ connect: { ca: file(env.CA_FILE), cert: file(env.CERT_FILE), key: file(env.CERT_KEY_FILE) } })
const overMutualTLS = { [client.customFetch]: (url, options) => fetch(url, { ...options, dispatcher }) }

async function authentication() {
  if (env.CLIENT_AUTH_METHOD === 'tls_client_auth') return client.TlsClientAuth()
  const algorithm = env.SIGNING_ALG === 'ES256' ? { name: 'ECDSA', namedCurve: 'P-256' } : { name: 'RSA-PSS', hash: 'SHA-256' }
  const key = await crypto.subtle.importKey('jwk', JSON.parse(file(env.SIGNING_JWK_FILE)), algorithm, false, ['sign'])
  return client.PrivateKeyJwt({ key, kid: env.KEY_ID })
}

const config = await client.discovery(
  new URL(env.ISSUER), env.CLIENT_ID, { use_mtls_endpoint_aliases: true }, await authentication(), overMutualTLS,
)
const answer = await client.clientCredentialsGrant(config, { scope: env.SCOPE })
console.log(`a token for ${answer.scope}, good for ${answer.expires_in} seconds`)

const report = await client.tokenIntrospection(config, answer.access_token)
console.log(`active: ${report.active}, bound to the certificate ${report.cnf['x5t#S256']}`)

if (env.BANK) {
  const response = await client.fetchProtectedResource(config, answer.access_token, new URL(env.BANK), 'GET')
  console.log(`the bank: ${response.status}`, JSON.stringify(await response.json()))
}
