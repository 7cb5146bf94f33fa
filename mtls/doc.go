// Package mtls is everything about the client certificate of a connection:
// how TLS asks for it, how it arrives from a proxy, what names it carries, and
// whether it can be trusted now (RFC 8705, RFC 9440, RFC 5280).
//
// The TLS layer asks for any certificate and refuses none. Trust is decided by
// [Trust.Verify] on every request, so that a wrong certificate is answered with
// an OAuth error and a reason instead of a TLS alert, and so that a certificate
// that expires or is revoked stops working on connections that are open.
//
// A certificate is presented ([Presented]), verified ([Trust]) and matched
// against what a client registered ([Registered]); every step answers with a
// [Finding]. The package knows no store, no client and no response.
package mtls
