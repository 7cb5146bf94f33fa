package certs

import (
	"crypto"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // RFC 6960 section 4.2.1 names the responder by it
	"crypto/sha256"
	"encoding/asn1"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cryptobyteasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// The OCSPResponseStatus values in use (RFC 6960 section 4.2.1).
const (
	ocspSuccessful    = 0
	ocspMalformed     = 1
	ocspInternalError = 2
	ocspTryLater      = 3
)

// oidECDSAWithSHA256 is how the issuing key, P-256, signs.
var oidECDSAWithSHA256 = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}

// ocspFailure is a response without an answer; it is not signed.
func ocspFailure(status byte) []byte { return []byte{0x30, 3, 0x0a, 1, status} }

// signOCSP writes and signs the response (RFC 6960 section 4.2.1).
func (a *Authority) signOCSP(request *ocspRequest, statuses []ocspStatus, now time.Time) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(explicit(2), func(b *cryptobyte.Builder) { // byKey
			hash := sha1.Sum(a.keyBits) //nolint:gosec // as above
			b.AddASN1OctetString(hash[:])
		})
		b.AddASN1GeneralizedTime(now)
		b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			for i, id := range request.certificates {
				addSingleResponse(b, id, statuses[i], now)
			}
		})
		if request.nonce != nil {
			b.AddASN1(explicit(1), func(b *cryptobyte.Builder) { addNonce(b, request.nonce) })
		}
	})
	tbs, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("OCSP response: %w", err)
	}
	return a.sealOCSP(tbs)
}

// sealOCSP signs a ResponseData and wraps it.
func (a *Authority) sealOCSP(tbs []byte) ([]byte, error) {
	hash := sha256.Sum256(tbs)
	signature, err := a.key.Sign(rand.Reader, hash[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("sign OCSP response: %w", err)
	}
	var b cryptobyte.Builder
	b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Enum(ocspSuccessful)
		b.AddASN1(explicit(0), func(b *cryptobyte.Builder) {
			b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(oidOCSPBasic)
				b.AddASN1(cryptobyteasn1.OCTET_STRING, func(b *cryptobyte.Builder) {
					b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddBytes(tbs)
						b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oidECDSAWithSHA256) })
						b.AddASN1BitString(signature)
					})
				})
			})
		})
	})
	return b.Bytes()
}

// addSingleResponse writes what is known of one certificate. thisUpdate is a time at
// which that was so (RFC 6960 section 2.4): a revocation's is not before it.
func addSingleResponse(b *cryptobyte.Builder, id certID, status ocspStatus, now time.Time) {
	known := now.Add(-backdate)
	if status.revoked != nil && known.Before(status.revoked.At) {
		known = status.revoked.At.UTC()
	}
	b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(id.raw)
		addStatus(b, status)
		b.AddASN1GeneralizedTime(known)
		b.AddASN1(explicit(0), func(b *cryptobyte.Builder) { b.AddASN1GeneralizedTime(now.Add(ocspLifetime)) })
	})
}

// addStatus writes a CertStatus. The reason unspecified is left out (RFC 5280
// section 5.3.1).
func addStatus(b *cryptobyte.Builder, status ocspStatus) {
	empty := func(*cryptobyte.Builder) {}
	switch {
	case status.revoked != nil:
		b.AddASN1(explicit(1), func(b *cryptobyte.Builder) {
			b.AddASN1GeneralizedTime(status.revoked.At.UTC())
			if status.revoked.Reason != ReasonUnspecified {
				b.AddASN1(explicit(0), func(b *cryptobyte.Builder) { b.AddASN1Enum(int64(status.revoked.Reason)) })
			}
		})
	case status.known:
		b.AddASN1(cryptobyteasn1.Tag(0).ContextSpecific(), empty) // good
	default:
		b.AddASN1(cryptobyteasn1.Tag(2).ContextSpecific(), empty) // unknown
	}
}

func addNonce(b *cryptobyte.Builder, nonce []byte) {
	b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oidNonce)
			b.AddASN1(cryptobyteasn1.OCTET_STRING, func(b *cryptobyte.Builder) { b.AddASN1OctetString(nonce) })
		})
	})
}
