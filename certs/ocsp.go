package certs

import (
	"bytes"
	"context"
	"crypto"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cryptobyteasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/fapid/fapid/store"
)

// ocspLifetime is how long an OCSP answer may be believed, from producedAt to
// nextUpdate; thisUpdate lies back by as much, but not before a revocation. It is
// short, because a tester who revokes a certificate wants to see it revoked, and no
// shorter than clocks differ.
const ocspLifetime = backdate

const (
	// MaxOCSPRequest bounds a request in bytes; one for a single certificate has
	// about a hundred.
	MaxOCSPRequest = 4 << 10
	// maxOCSPCertificates bounds the certificates asked for at once. RFC 5019
	// section 2.1.1 has clients ask for one.
	maxOCSPCertificates = 16
	// maxNonce is the longest nonce (RFC 9654 section 2.1).
	maxNonce = 128
)

// OCSPAnswer is what the responder says to a request.
type OCSPAnswer struct {
	DER []byte // an OCSPResponse (RFC 6960 section 4.2), in any case
	// Once says that the answer was made for this request alone: it has its nonce.
	Once bool
	// Problem is why the request was not answered; nil if it was.
	Problem error
}

// OCSP answers an OCSP request (RFC 6960, and the profile of RFC 5019) from what is
// known now. The issuing CA signs by itself: it is on line anyway, and a responder's
// certificate would be one more to expire. A certificate that it did not issue is
// unknown; what another CA issued is unknown, too. A nonce is repeated (RFC 9654),
// and a signature on the request makes no difference.
func (a *Authority) OCSP(ctx context.Context, request []byte) OCSPAnswer {
	asked, err := parseOCSPRequest(request)
	if err != nil {
		return OCSPAnswer{DER: ocspFailure(ocspMalformed), Problem: err}
	}
	now := a.config.Now().UTC().Truncate(time.Second)
	statuses := make([]ocspStatus, len(asked.certificates))
	for i, id := range asked.certificates {
		if statuses[i], err = a.status(ctx, id); err != nil {
			return OCSPAnswer{DER: ocspFailure(ocspTryLater), Problem: err}
		}
	}
	der, err := a.signOCSP(asked, statuses, now)
	if err != nil {
		return OCSPAnswer{DER: ocspFailure(ocspInternalError), Problem: err}
	}
	return OCSPAnswer{DER: der, Once: asked.nonce != nil}
}

// ocspStatus is what is known of one certificate.
type ocspStatus struct {
	known   bool
	revoked *Revocation
}

func (a *Authority) status(ctx context.Context, id certID) (ocspStatus, error) {
	if !a.issued(id) || id.serial.Sign() <= 0 || id.serial.BitLen() > 8*serialSize {
		return ocspStatus{}, nil
	}
	serial := fmt.Sprintf("%040x", id.serial)
	if revocation, ok := a.revocation(serial); ok {
		return ocspStatus{known: true, revoked: &revocation}, nil
	}
	_, err := a.records.Get(ctx, serial)
	if errors.Is(err, store.ErrNotFound) {
		return ocspStatus{}, nil
	}
	return ocspStatus{known: err == nil}, err
}

// issued reports whether the issuing CA is the issuer that the id names, by the
// hashes of its name and key.
func (a *Authority) issued(id certID) bool {
	if !id.hash.Available() {
		return false
	}
	name, key := id.hash.New(), id.hash.New()
	name.Write(a.issuing.RawSubject)
	key.Write(a.keyBits)
	return bytes.Equal(name.Sum(nil), id.nameHash) && bytes.Equal(key.Sum(nil), id.keyHash)
}

// ocspRequest is a parsed request.
type ocspRequest struct {
	certificates []certID
	nonce        []byte // nil: none
}

// certID names a certificate (RFC 6960 section 4.1.1).
type certID struct {
	raw               []byte // as it was asked for, to be repeated
	hash              crypto.Hash
	nameHash, keyHash []byte
	serial            *big.Int
}

// ocspHashes are those an issuer can be named by.
var ocspHashes = map[string]crypto.Hash{
	"1.3.14.3.2.26":          crypto.SHA1, // what nearly all clients use; it only names here, it protects nothing
	"2.16.840.1.101.3.4.2.1": crypto.SHA256, "2.16.840.1.101.3.4.2.2": crypto.SHA384, "2.16.840.1.101.3.4.2.3": crypto.SHA512,
}

var (
	oidNonce     = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}
	oidOCSPBasic = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}
)

// explicit is the tag [n] EXPLICIT.
func explicit(n uint8) cryptobyteasn1.Tag {
	return cryptobyteasn1.Tag(n).ContextSpecific().Constructed()
}

// parseOCSPRequest reads an OCSPRequest (RFC 6960 section 4.1.1). The name and the
// signature of who asks are not looked at: everybody may ask.
func parseOCSPRequest(der []byte) (*ocspRequest, error) {
	if len(der) > MaxOCSPRequest {
		return nil, fmt.Errorf("request of %d bytes, more than %d", len(der), MaxOCSPRequest)
	}
	input := cryptobyte.String(der)
	var outer, tbs, list, extensions cryptobyte.String
	var extended bool
	if !input.ReadASN1(&outer, cryptobyteasn1.SEQUENCE) || !input.Empty() || !outer.ReadASN1(&tbs, cryptobyteasn1.SEQUENCE) ||
		!outer.SkipOptionalASN1(explicit(0)) || !outer.Empty() {
		return nil, errors.New("not an OCSPRequest")
	}
	var version int
	if !tbs.ReadOptionalASN1Integer(&version, explicit(0), 0) || version != 0 {
		return nil, errors.New("not version 1 of OCSP")
	}
	if !tbs.SkipOptionalASN1(explicit(1)) || !tbs.ReadASN1(&list, cryptobyteasn1.SEQUENCE) ||
		!tbs.ReadOptionalASN1(&extensions, &extended, explicit(2)) || !tbs.Empty() {
		return nil, errors.New("malformed TBSRequest")
	}
	request := &ocspRequest{}
	for !list.Empty() {
		var single cryptobyte.String
		if len(request.certificates) == maxOCSPCertificates {
			return nil, fmt.Errorf("more than %d certificates", maxOCSPCertificates)
		}
		if !list.ReadASN1(&single, cryptobyteasn1.SEQUENCE) {
			return nil, errors.New("malformed requestList")
		}
		id, err := parseSingleRequest(single)
		if err != nil {
			return nil, err
		}
		request.certificates = append(request.certificates, id)
	}
	if len(request.certificates) == 0 {
		return nil, errors.New("no certificate is asked for")
	}
	if !extended {
		return request, nil
	}
	var err error
	request.nonce, err = parseOCSPExtensions(extensions)
	return request, err
}

// parseSingleRequest reads a Request: a CertID and extensions, of which none is
// known that could be critical.
func parseSingleRequest(single cryptobyte.String) (id certID, err error) {
	var raw, body, algorithm, extensions cryptobyte.String
	var oid asn1.ObjectIdentifier
	var extended bool
	id.serial = new(big.Int)
	if !single.ReadASN1Element(&raw, cryptobyteasn1.SEQUENCE) || !single.ReadOptionalASN1(&extensions, &extended, explicit(0)) || !single.Empty() {
		return id, errors.New("malformed Request")
	}
	id.raw = raw
	if !raw.ReadASN1(&body, cryptobyteasn1.SEQUENCE) || !body.ReadASN1(&algorithm, cryptobyteasn1.SEQUENCE) || !algorithm.ReadASN1ObjectIdentifier(&oid) ||
		!body.ReadASN1Bytes(&id.nameHash, cryptobyteasn1.OCTET_STRING) || !body.ReadASN1Bytes(&id.keyHash, cryptobyteasn1.OCTET_STRING) ||
		!body.ReadASN1Integer(id.serial) || !body.Empty() {
		return id, errors.New("malformed CertID")
	}
	id.hash = ocspHashes[oid.String()]
	if extended {
		_, err = parseOCSPExtensions(extensions)
	}
	return id, err
}

// parseOCSPExtensions finds the nonce. RFC 9654 section 2.1 wants one of 1 to 128
// bytes; extensions that are not known may not be critical.
func parseOCSPExtensions(s cryptobyte.String) (nonce []byte, err error) {
	var list cryptobyte.String
	if !s.ReadASN1(&list, cryptobyteasn1.SEQUENCE) || !s.Empty() {
		return nil, errors.New("malformed extensions")
	}
	for !list.Empty() {
		var extension, value cryptobyte.String
		var oid asn1.ObjectIdentifier
		critical := false
		if !list.ReadASN1(&extension, cryptobyteasn1.SEQUENCE) || !extension.ReadASN1ObjectIdentifier(&oid) {
			return nil, errors.New("malformed extension")
		}
		if extension.PeekASN1Tag(cryptobyteasn1.BOOLEAN) && !extension.ReadASN1Boolean(&critical) {
			return nil, errors.New("malformed extension")
		}
		if !extension.ReadASN1(&value, cryptobyteasn1.OCTET_STRING) || !extension.Empty() {
			return nil, errors.New("malformed extension")
		}
		switch {
		case oid.Equal(oidNonce) && nonce != nil:
			return nil, errors.New("two nonces")
		case oid.Equal(oidNonce):
			if !value.ReadASN1Bytes(&nonce, cryptobyteasn1.OCTET_STRING) || !value.Empty() || len(nonce) == 0 || len(nonce) > maxNonce {
				return nil, fmt.Errorf("a nonce has 1 to %d bytes", maxNonce)
			}
		case critical:
			return nil, fmt.Errorf("critical extension %s", oid)
		}
	}
	return nonce, nil
}
