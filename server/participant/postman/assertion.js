// Signs the client assertion (RFC 7523 section 2.2) of a request that sends one: good for
// a minute, by the key and the algorithm of the environment.
const base64url = (bytes) => Buffer.from(bytes).toString('base64').replace(/\+/g, '-').replace(/\//g, '_').replace(/=/g, '');
const sign = async () => {
  const [alg, kid, iss, aud, pem] = ['SIGNING_ALG', 'KEY_ID', 'CLIENT_ID', 'ISSUER', 'SIGNING_KEY'].map((name) => pm.environment.get(name));
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss, sub: iss, aud, jti: crypto.randomUUID(), iat: now, exp: now + 60 };
  const input = [{ alg, typ: 'JWT', kid }, claims].map((part) => base64url(JSON.stringify(part))).join('.');
  const algorithm = {
    PS256: { name: 'RSA-PSS', hash: 'SHA-256', saltLength: 32 },
    ES256: { name: 'ECDSA', hash: 'SHA-256', namedCurve: 'P-256' },
  }[alg];
  const pkcs8 = Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ''), 'base64');
  const key = await crypto.subtle.importKey('pkcs8', pkcs8, algorithm, false, ['sign']);
  const signature = await crypto.subtle.sign(algorithm, key, Buffer.from(input));
  pm.variables.set('CLIENT_ASSERTION', `${input}.${base64url(signature)}`);
};
if (pm.request.body && pm.request.body.urlencoded && pm.request.body.urlencoded.has('client_assertion')) {
  if (typeof crypto === 'undefined' || !crypto.subtle) throw new Error('Update Postman: this version has no crypto.subtle to sign the client assertion with.');
  return sign(); // no await here: versions without crypto.subtle do not know it, and would not say the above
}
