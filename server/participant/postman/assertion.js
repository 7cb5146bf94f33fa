// Signs the client assertion (RFC 7523 section 2.2) of a request that sends one: good for
// a minute, by the key and the algorithm of the environment.
if (pm.request.body?.urlencoded?.has('client_assertion')) {
  if (typeof crypto === 'undefined' || !crypto.subtle) throw new Error('Update Postman: this version has no crypto.subtle to sign the client assertion with.');
  const algorithm = {
    PS256: { name: 'RSA-PSS', hash: 'SHA-256', saltLength: 32 },
    ES256: { name: 'ECDSA', hash: 'SHA-256', namedCurve: 'P-256' },
  }[pm.environment.get('SIGNING_ALG')];
  const base64url = (bytes) => Buffer.from(bytes).toString('base64').replace(/\+/g, '-').replace(/\//g, '_').replace(/=/g, '');
  const client = pm.environment.get('CLIENT_ID');
  const now = Math.floor(Date.now() / 1000);
  const header = { alg: pm.environment.get('SIGNING_ALG'), typ: 'JWT', kid: pm.environment.get('KEY_ID') };
  const claims = { iss: client, sub: client, aud: pm.environment.get('ISSUER'), jti: crypto.randomUUID(), iat: now, exp: now + 60 };
  const signed = [header, claims].map((part) => base64url(JSON.stringify(part))).join('.');
  const pkcs8 = Buffer.from(pm.environment.get('SIGNING_KEY').replace(/-----[^-]+-----|\s/g, ''), 'base64');
  const key = await crypto.subtle.importKey('pkcs8', pkcs8, algorithm, false, ['sign']);
  const signature = await crypto.subtle.sign(algorithm, key, Buffer.from(signed));
  pm.variables.set('CLIENT_ASSERTION', `${signed}.${base64url(signature)}`);
}
