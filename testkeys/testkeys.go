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
	"crypto/sha256"
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
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return false
	}
	return known()[sha256.Sum256(der)]
}

// Refuse is an error for a test key: for those who take the keys of others.
func Refuse(public crypto.PublicKey) error {
	if Known(public) {
		return errors.New("a public test key, whose private key everyone knows; make one of your own")
	}
	return nil
}

var known = sync.OnceValue(func() map[[32]byte]bool {
	entries, err := files.ReadDir(".")
	if err != nil {
		panic(err)
	}
	fingerprints := make(map[[32]byte]bool, len(entries))
	for _, entry := range entries {
		der, err := x509.MarshalPKIXPublicKey(load(path.Base(entry.Name())).Public())
		if err != nil {
			panic(err)
		}
		fingerprints[sha256.Sum256(der)] = true
	}
	return fingerprints
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
