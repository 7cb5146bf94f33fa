// Package certs is the sandbox certificate authority: a root and an issuing CA
// in files, certificate profiles as data, what was issued and what was revoked
// in the store, and the CRL. It also reads the CRLs of other authorities.
//
// The holder's name and alternative names always come from the caller, and
// everything else in a certificate from its [Profile]. A certificate request
// contributes its public key and nothing more.
//
// Refusals of what a caller asked for are oauth errors, with a text that may be
// shown; anything else is a failure of ours.
package certs
