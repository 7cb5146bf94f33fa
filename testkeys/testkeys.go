// Package testkeys holds PRIVATE KEYS THAT THE WHOLE WORLD KNOWS.
//
// They make tests fast and repeatable. Nothing signed or authenticated with
// them proves anything: `fapid serve` refuses to start with one of them, and
// registration refuses a client that brings one.
package testkeys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"embed"
	"encoding/pem"
	"errors"
	"fmt"
	"path"
	"sync"
)

//go:embed *.pem
var files embed.FS

// RSA returns the n-th RSA-2048 test key, counting from 1.
func RSA(n int) *rsa.PrivateKey { return load(fmt.Sprintf("rsa-%d.pem", n)).(*rsa.PrivateKey) }

// P256 returns the n-th P-256 test key, counting from 1.
func P256(n int) *ecdsa.PrivateKey { return load(fmt.Sprintf("p256-%d.pem", n)).(*ecdsa.PrivateKey) }

// Ed25519 returns the n-th Ed25519 test key, counting from 1.
func Ed25519(n int) ed25519.PrivateKey {
	return load(fmt.Sprintf("ed25519-%d.pem", n)).(ed25519.PrivateKey)
}

// Known reports whether the public key belongs to a test key.
func Known(public crypto.PublicKey) bool {
	number, ok := numberOf(public)
	return ok && known()[number]
}

// numberOf is what tells a public key from all others, whatever is written around
// it: the modulus, or the point. ok is false for a kind that no test key is of.
func numberOf(public crypto.PublicKey) (number string, ok bool) {
	switch public := public.(type) {
	case *rsa.PublicKey:
		return string(public.N.Bytes()), true
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		return string(point), err == nil
	case ed25519.PublicKey:
		return string(public), true
	}
	return "", false
}

// Refuse is an error for a test key: for those who take the keys of others.
func Refuse(public crypto.PublicKey) error {
	if Known(public) {
		return errors.New("a public test key, whose private key everyone knows; make one of your own")
	}
	return nil
}

var known = sync.OnceValue(func() map[string]bool {
	entries, err := files.ReadDir(".")
	if err != nil {
		panic(err)
	}
	numbers := make(map[string]bool, len(entries))
	for _, entry := range entries {
		number, ok := numberOf(load(path.Base(entry.Name())).Public())
		if !ok {
			panic("testkeys: " + entry.Name() + " is of a kind that is not told apart")
		}
		numbers[number] = true
	}
	return numbers
})

// load panics on failure: the files are embedded, so a bad one is a bad build.
func load(name string) crypto.Signer {
	text, err := files.ReadFile(name)
	if err != nil {
		panic(err)
	}
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		panic(err)
	}
	return key.(crypto.Signer)
}
