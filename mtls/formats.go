package mtls

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// decodeRFC9440 reads Client-Cert, an Item that is a Byte Sequence, and
// Client-Cert-Chain, a List of them without the leaf (RFC 9440 sections 2.2 and
// 2.3, RFC 8941 section 3.3.5). Neither defines parameters, so none are taken.
func decodeRFC9440(value, chain string) ([]*x509.Certificate, error) {
	leaf, err := decodeByteSequence(value)
	if err != nil {
		return nil, err
	}
	certificates := []*x509.Certificate{leaf}
	if chain == "" {
		return certificates, nil
	}
	for member := range strings.SplitSeq(chain, ",") {
		c, err := decodeByteSequence(strings.Trim(member, " \t"))
		if err != nil {
			return nil, fmt.Errorf("chain: %w", err)
		}
		certificates = append(certificates, c)
	}
	return certificates, nil
}

func decodeByteSequence(s string) (*x509.Certificate, error) {
	if len(s) < 2 || s[0] != ':' || s[len(s)-1] != ':' {
		return nil, errors.New("not a byte sequence (:base64:) of RFC 8941")
	}
	// The decoder would skip line breaks; there are none in a header.
	der, err := base64.StdEncoding.Strict().DecodeString(s[1 : len(s)-1])
	if err != nil {
		return nil, errors.New("not base64 between the colons")
	}
	return x509.ParseCertificate(der)
}

// decodeEscapedPEM reads percent-escaped PEM: the leaf in value, optionally
// followed by its chain, or the chain in a header of its own.
func decodeEscapedPEM(value, chain string) ([]*x509.Certificate, error) {
	certificates, err := unescapePEM(value)
	if err != nil || chain == "" {
		return certificates, err
	}
	more, err := unescapePEM(chain)
	return append(certificates, more...), err
}

func unescapePEM(s string) ([]*x509.Certificate, error) {
	// Not QueryUnescape: nginx leaves the '+' of base64 as it is.
	text, err := url.PathUnescape(s)
	if err != nil {
		return nil, errors.New("not percent-escaped PEM")
	}
	var certificates []*x509.Certificate
	for rest := []byte(text); len(bytes.TrimSpace(rest)) > 0; {
		// pem.Decode skips what it does not know, which could hide a second
		// certificate from whoever wrote the header.
		if !bytes.HasPrefix(bytes.TrimSpace(rest), []byte("-----BEGIN CERTIFICATE-----")) {
			return nil, errors.New("not percent-escaped PEM of certificates")
		}
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || block.Type != "CERTIFICATE" || len(block.Headers) > 0 {
			return nil, errors.New("not percent-escaped PEM of certificates")
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certificates = append(certificates, c)
	}
	if len(certificates) == 0 {
		return nil, errors.New("no certificate")
	}
	return certificates, nil
}

// decodeXFCC reads Envoy's header: key=value pairs with ';' between, values
// quoted where needed; Cert is the leaf and Chain the leaf with its chain, both
// as percent-escaped PEM. Envoy adds an element per hop, after those it was
// sent, so a second one means that it does not sanitize what clients send.
func decodeXFCC(value string) ([]*x509.Certificate, error) {
	fields, err := parseXFCC(value)
	if err != nil {
		return nil, err
	}
	var leaf, chain []*x509.Certificate
	if s, ok := fields["cert"]; ok {
		if leaf, err = unescapePEM(s); err != nil {
			return nil, fmt.Errorf("Cert: %w", err)
		}
		if len(leaf) != 1 {
			return nil, errors.New("Cert: more than one certificate")
		}
	}
	if s, ok := fields["chain"]; ok {
		if chain, err = unescapePEM(s); err != nil {
			return nil, fmt.Errorf("Chain: %w", err)
		}
	}
	switch {
	case leaf == nil && chain == nil:
		return nil, errors.New("neither Cert nor Chain; set cert and chain in Envoy's set_current_client_cert_details")
	case chain == nil:
		return leaf, nil
	case leaf != nil && !leaf[0].Equal(chain[0]):
		return nil, errors.New("Chain does not start with Cert")
	}
	return chain, nil
}

func parseXFCC(s string) (map[string]string, error) {
	fields := make(map[string]string)
	for {
		key, rest, ok := strings.Cut(s, "=")
		key = strings.ToLower(strings.TrimSpace(key))
		if !ok || key == "" {
			return nil, errors.New("not a list of key=value")
		}
		value, rest, err := xfccValue(rest)
		if err != nil {
			return nil, err
		}
		// URI and DNS may repeat; what is read here may not.
		if _, again := fields[key]; again && (key == "cert" || key == "chain") {
			return nil, fmt.Errorf("%s occurs twice", key)
		}
		fields[key] = value
		if rest == "" {
			return fields, nil
		}
		if rest[0] == ',' {
			return nil, errors.New("more than one element; set forward_client_cert_details to SANITIZE_SET in Envoy")
		}
		s = rest[1:]
	}
}

// xfccValue cuts a value, quoted or not, off the front of s. rest is empty or
// starts with the separator.
func xfccValue(s string) (value, rest string, err error) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s, ";,")
		if end < 0 {
			end = len(s)
		}
		return s[:end], s[end:], nil
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
		case s[i] == '"':
			rest = s[i+1:]
			if rest != "" && rest[0] != ';' && rest[0] != ',' {
				return "", "", errors.New("text after a closing quote")
			}
			return b.String(), rest, nil
		}
		b.WriteByte(s[i])
	}
	return "", "", errors.New("no closing quote")
}
