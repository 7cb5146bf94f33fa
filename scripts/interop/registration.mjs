// Clients register themselves at `fapid dev` and fetch a token as what they have
// become: by openid-client 6 and oauth4webapi 3, open and with an initial access token;
// and by the rules of three ecosystems, each with a statement of the directory in its
// shape: a signed request (UK), JSON (Brazil), a JWT (CDR). The last two steps of each
// are a refusal and the end of the registration.
// Usage: FAPID=fapid node registration.mjs ISSUER DIRECTORY   (DIRECTORY is fapid's .fapid)
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomUUID, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as client from 'openid-client'
import * as oauth from 'oauth4webapi'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { Agent, fetch } from 'undici'

const [issuer, directory] = process.argv.slice(2)
const file = (...path) => readFileSync(join(directory, ...path), 'utf8')
const ca = file('ca.pem')
const running = JSON.parse(file('running.json'))
const fapid = (...args) => execFileSync(process.env.FAPID ?? 'fapid', [...args, '--dir', directory], { encoding: 'utf8' }).trim()
const fetchWith = (identity = {}) => {
  const dispatcher = new Agent({ connect: { ca, ...identity } })
  return (url, options) => fetch(url, { ...options, dispatcher })
}
const anybody = fetchWith()
const tls = { cert: file('clients', 'tpp-tls', 'transport.pem'), key: file('clients', 'tpp-tls', 'transport.key') }
const subject = (pem) => new X509Certificate(pem).subject.split('\n').reverse().join(',')
const basics = { grant_types: ['client_credentials'], scope: 'accounts' }

// managed reads, changes and deletes a registration as its answer says (RFC 7592).
async function managed(registered, through, again) {
  const { registration_client_uri: uri, registration_access_token: first } = registered
  const call = (method, token, body) => through(uri, {
    method, headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' }, body: body && JSON.stringify(body),
  })
  const read = await (await call('GET', first)).json()
  assert.equal(read.client_id, registered.client_id)
  const response = await call('PUT', first, { ...registered, ...again, scope: 'accounts payments' })
  assert.equal(response.status, 200)
  const changed = await response.json()
  assert.equal(changed.scope, 'accounts payments')
  assert.equal((await call('DELETE', changed.registration_access_token)).status, 204)
  assert.equal((await call('GET', changed.registration_access_token)).status, 401)
}

// openid-client, open: the client that comes of it works as it is.
const open = await client.dynamicClientRegistration(new URL(issuer), { ...basics, client_name: 'openid-client', token_endpoint_auth_method: 'client_secret_post' }, undefined, { [client.customFetch]: anybody })
const granted = await client.clientCredentialsGrant(open, { scope: 'accounts' })
assert.equal((await client.tokenIntrospection(open, granted.access_token)).client_id, open.clientMetadata().client_id)
await managed(open.clientMetadata(), anybody)
await assert.rejects(client.clientCredentialsGrant(open), (error) => error.error === 'invalid_client')
console.log('ok  openid-client  registered, used, read, changed, deleted')

// With an initial access token at a realm that wants one, and a certificate: the alias
// of the registration endpoint is found, and one token is for one registration.
const strict = new URL(`${issuer}/realms/strict`)
const byCertificate = { ...basics, token_endpoint_auth_method: 'tls_client_auth', tls_client_auth_subject_dn: subject(tls.cert), use_mtls_endpoint_aliases: true }
const mutual = { [client.customFetch]: fetchWith(tls) }
await assert.rejects(client.dynamicClientRegistration(strict, byCertificate, client.TlsClientAuth(), mutual), (error) => error.status === 401 && error.cause?.[0]?.scheme === 'bearer')
const initialAccessToken = fapid('registration-token', 'create', '--realm', 'strict')
const vouched = await client.dynamicClientRegistration(strict, byCertificate, client.TlsClientAuth(), { ...mutual, initialAccessToken })
assert.match(vouched.clientMetadata().registration_client_uri, new RegExp(`^${vouched.serverMetadata().mtls_endpoint_aliases.registration_endpoint}/`))
const bound = await client.clientCredentialsGrant(vouched, { scope: 'accounts' })
assert.ok((await client.tokenIntrospection(vouched, bound.access_token)).cnf['x5t#S256'])
await assert.rejects(client.dynamicClientRegistration(strict, byCertificate, client.TlsClientAuth(), { ...mutual, initialAccessToken }))
console.log('ok  openid-client  with an initial access token, once, over mTLS')

// oauth4webapi, likewise.
const options = { [oauth.customFetch]: anybody }
const as = await oauth.processDiscoveryResponse(new URL(issuer), await oauth.discoveryRequest(new URL(issuer), options))
for (const more of [{}, { initialAccessToken: fapid('registration-token', 'create', '--scope', 'accounts') }]) {
  const registered = await oauth.processDynamicClientRegistrationResponse(
    await oauth.dynamicClientRegistrationRequest(as, { ...basics, client_name: 'oauth4webapi', token_endpoint_auth_method: 'client_secret_basic' }, { ...options, ...more }),
  )
  const answer = await oauth.clientCredentialsGrantRequest(as, registered, oauth.ClientSecretBasic(registered.client_secret), { scope: 'accounts' }, options)
  assert.equal((await oauth.processClientCredentialsResponse(as, registered, answer)).scope, 'accounts')
  if (!more.initialAccessToken) await managed(registered, anybody)
  await assert.rejects(
    oauth.dynamicClientRegistrationRequest(as, { ...basics, scope: 'payments unheard-of' }, options).then(oauth.processDynamicClientRegistrationResponse),
    (error) => error.error === 'invalid_client_metadata',
  )
}
console.log('ok  oauth4webapi  registered open and with an initial access token, used, managed')

// Software of the sample organisation with a certificate as an ecosystem has it and a
// signing key in the keystore.
const organisation = '7c9e6a1e-1c5d-4f53-9a63-1d2f5b8a4e01'
const operator = { authorization: `Bearer ${file('operator.key').trim()}` }
async function operate(method, path, body, headers) {
  const response = await fetch(`${running.operator}/directory/organisations/${organisation}${path}`, { method, body, headers: { ...operator, ...headers } })
  const text = await response.text()
  assert.ok(response.ok, `${method} ${path}: ${response.status} ${text}`)
  return text
}
async function software(name, certificateType) {
  const id = randomUUID()
  const roles = [['PSD2', 'AISP'], ['PSD2', 'PISP'], ['Open Finance Brasil', 'DADOS'], ['CDR', 'DATA_RECIPIENT']]
  await operate('POST', '/softwarestatements', JSON.stringify({
    SoftwareStatementId: id, ClientName: name, Version: '1.0', RedirectUri: ['https://app.example/callback'],
    ClientUri: 'https://app.example', LogoUri: 'https://app.example/logo.svg', PolicyUri: 'https://app.example/policy', TermsOfServiceUri: 'https://app.example/terms',
    SoftwareAuthorityClaims: roles.map(([AuthorisationDomain, Role]) => ({ AuthorisationDomain, Role })),
  }), { 'content-type': 'application/json' })
  const keyFile = join(directory, `${id}.key`)
  const csr = execFileSync('openssl', ['req', '-new', '-newkey', 'rsa:2048', '-nodes', '-keyout', keyFile, '-subj', `/CN=${id}`], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  const key = readFileSync(keyFile, 'utf8')
  const cert = await operate('POST', `/softwarestatements/${id}/certificates/${certificateType}`, csr, { 'content-type': 'application/pkcs10', accept: 'application/x-pem-file' })
  const { publicKey, privateKey } = await generateKeyPair('PS256', { extractable: true })
  const { kid } = JSON.parse(await operate('POST', `/softwarestatements/${id}/certificates/sigkey`, JSON.stringify(await exportJWK(publicKey)), { 'content-type': 'application/json' }))
  return {
    id, kid, key: privateKey, cert, through: fetchWith({ cert, key }),
    statement: (ecosystem) => operate('GET', `/softwarestatements/${id}/assertion?ecosystem=${ecosystem}`),
  }
}

const registrationEndpoint = as.mtls_endpoint_aliases.registration_endpoint
async function registers(by, contentType, body, status, error) {
  const response = await by.through(registrationEndpoint, { method: 'POST', headers: { 'content-type': contentType }, body })
  const answer = await response.json()
  assert.equal(response.status, status, JSON.stringify(answer))
  assert.equal(answer.error, error, JSON.stringify(answer))
  return answer
}
const signedBy = (by, claims, audience) => new SignJWT(claims).setProtectedHeader({ alg: 'PS256', kid: by.kid, typ: 'JWT' })
  .setIssuer(by.id).setAudience(audience).setIssuedAt().setExpirationTime('5m').setJti(randomUUID()).sign(by.key)

// uses fetches a token over mTLS with openid-client, as what was registered, and calls
// the bank with it if its scope is asked for.
async function uses(by, registered, auth, parameters) {
  const config = await client.discovery(new URL(issuer), registered.client_id, { ...registered, use_mtls_endpoint_aliases: true }, auth, { [client.customFetch]: by.through })
  const answer = await client.clientCredentialsGrant(config, parameters)
  const report = await client.tokenIntrospection(config, answer.access_token)
  assert.equal(report.client_id, registered.client_id)
  assert.ok(report.cnf['x5t#S256'])
  const bank = new URL('/bank/accounts', config.serverMetadata().mtls_endpoint_aliases.token_endpoint)
  if (parameters) assert.equal((await client.fetchProtectedResource(config, answer.access_token, bank, 'GET')).status, 200)
  return answer.access_token
}
const asserting = (by) => client.PrivateKeyJwt({ key: by.key, kid: by.kid })

// UK Open Banking: the request is a JWS of the software; the registration is managed
// with an access token of the client.
{
  const by = await software('UK app', 'ob-transport')
  const claims = async () => ({
    ...basics, software_statement: await by.statement('uk'), redirect_uris: ['https://app.example/callback'], application_type: 'web', software_id: by.id,
    token_endpoint_auth_method: 'private_key_jwt', token_endpoint_auth_signing_alg: 'PS256', id_token_signed_response_alg: 'PS256', request_object_signing_alg: 'PS256',
  })
  await registers(by, 'application/json', JSON.stringify(await claims()), 400, 'invalid_client_metadata')
  const stranger = { ...by, key: (await generateKeyPair('PS256')).privateKey }
  await registers(by, 'application/jose', await signedBy(stranger, await claims(), issuer), 400, 'invalid_client_metadata')
  const registered = await registers(by, 'application/jose', await signedBy(by, await claims(), issuer), 201)
  assert.equal(registered.org_status, 'Active')
  const token = await uses(by, registered, asserting(by), { scope: 'accounts' })
  const own = `${registrationEndpoint}/${registered.client_id}`
  const manage = (method) => by.through(own, { method, headers: { authorization: `Bearer ${token}` } })
  assert.equal((await (await manage('GET')).json()).client_id, registered.client_id)
  assert.equal((await manage('DELETE')).status, 204)
  assert.equal((await manage('GET')).status, 401)
  console.log('ok  UK  a signed request registers, used, deleted; JSON and a stranger\'s signature do not')
}

// Open Finance Brasil: JSON with a statement that is minutes old at most, the subject as
// the certificate has it, one registration of one software.
{
  const by = await software('Brazilian app', 'brcac')
  const statement = await by.statement('brazil')
  const { software_jwks_uri } = JSON.parse(Buffer.from(statement.split('.')[1], 'base64url'))
  const metadata = {
    ...basics, software_statement: statement, redirect_uris: ['https://app.example/callback'], jwks_uri: software_jwks_uri,
    token_endpoint_auth_method: 'private_key_jwt', token_endpoint_auth_signing_alg: 'PS256', id_token_signed_response_alg: 'PS256', request_object_signing_alg: 'PS256',
  }
  const send = (more, ...wanted) => registers(by, 'application/json', JSON.stringify({ ...metadata, ...more }), ...wanted)
  await send({ redirect_uris: ['https://elsewhere.example/callback'] }, 400, 'invalid_redirect_uri')
  await send({ scope: 'payments' }, 400, 'invalid_client_metadata') // of a role that the software does not have
  const registered = await send({}, 201)
  await uses(by, registered, asserting(by), { scope: 'accounts' })
  await send({}, 400, 'unapproved_software_statement')
  const manage = (method, body) => by.through(registered.registration_client_uri, {
    method, body, headers: { authorization: `Bearer ${registered.registration_access_token}`, 'content-type': 'application/json' },
  })
  const changed = await manage('PUT', JSON.stringify({ ...registered, software_statement: await by.statement('brazil') }))
  assert.equal((await changed.json()).registration_access_token, registered.registration_access_token)
  assert.equal((await manage('DELETE')).status, 204)
  assert.equal((await manage('GET')).status, 401)
  console.log('ok  Brazil  JSON registers once, used, changed, deleted; another redirect URI and another role do not')
}

// CDR: a JWT whose statement can be used once.
{
  const by = await software('CDR app', 'cdr')
  const statement = await by.statement('cdr')
  const claims = {
    ...basics, scope: undefined, software_statement: statement, redirect_uris: ['https://app.example/callback'], response_types: [],
    token_endpoint_auth_method: 'private_key_jwt', token_endpoint_auth_signing_alg: 'PS256', id_token_signed_response_alg: 'PS256',
  }
  await registers(by, 'application/jwt', await signedBy(by, claims, registrationEndpoint), 400, 'invalid_client_metadata')
  const request = await signedBy(by, claims, issuer)
  const registered = await registers(by, 'application/jwt', request, 201)
  assert.equal(registered.software_id, by.id)
  await uses(by, registered, asserting(by))
  await registers(by, 'application/jwt', request, 400, 'invalid_software_statement')
  console.log('ok  CDR  a JWT registers once, used; one for another audience does not')
}
