package jwk

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"sync"
)

// Bounds of an RSA modulus in bits. FAPI 2.0 Security Profile section 5.4.1
// asks for 2048 at least; above 4096 a signature check costs more than a caller
// may make it cost.
const (
	minRSABits = 2048
	maxRSABits = 4096
)

const rsaExponent = 65537

// checkRSA refuses keys that are too short or too costly.
func checkRSA(key *rsa.PublicKey) error {
	bits := key.N.BitLen()
	switch {
	case bits < minRSABits || bits > maxRSABits:
		return fmt.Errorf("RSA modulus of %d bits, expected %d to %d", bits, minRSABits, maxRSABits)
	case key.E != rsaExponent:
		return fmt.Errorf("RSA exponent %d, expected %d", key.E, rsaExponent)
	case key.N.Bit(0) == 0:
		return errors.New("RSA modulus is even")
	}
	return nil
}

// checkFactors refuses a modulus of a shape whose factors are found in seconds.
// The list is that of the CA/Browser Forum Baseline Requirements section 6.1.6
// and of Boulder's bad-key tests.
func checkFactors(n *big.Int) error {
	if factor := smallFactor(n); factor != 0 {
		return fmt.Errorf("RSA modulus is divisible by %d", factor)
	}
	if closePrimes(n) {
		return errors.New("RSA primes are so close that Fermat's method finds them")
	}
	if infineon(n) {
		return errors.New("RSA modulus has the shape of CVE-2017-15361 (ROCA)")
	}
	return nil
}

// smallPrimes are the odd primes below 752, as the Baseline Requirements ask,
// in batches whose product fits 64 bits: one division of the modulus per batch.
var smallPrimes = sync.OnceValue(func() (batches []primeBatch) {
	batch := primeBatch{product: 1}
	for n := uint64(3); n < 752; n += 2 {
		if !big.NewInt(int64(n)).ProbablyPrime(0) {
			continue
		}
		if batch.product > (1<<63)/n {
			batches = append(batches, batch)
			batch = primeBatch{product: 1}
		}
		batch.product *= n
		batch.primes = append(batch.primes, n)
	}
	return append(batches, batch)
})

type primeBatch struct {
	product uint64
	primes  []uint64
}

func smallFactor(n *big.Int) uint64 {
	var product, rest big.Int
	for _, batch := range smallPrimes() {
		remainder := rest.Mod(n, product.SetUint64(batch.product)).Uint64()
		for _, prime := range batch.primes {
			if remainder%prime == 0 {
				return prime
			}
		}
	}
	return 0
}

// fermatRounds is how many candidates of Fermat's factorisation are tried, as
// Boulder does: honest primes differ in their first bits and never meet it.
const fermatRounds = 100

// closePrimes looks for a with a*a - n a square, from the root of n upwards.
func closePrimes(n *big.Int) bool {
	one := big.NewInt(1)
	a := new(big.Int).Sqrt(n)
	rest := new(big.Int).Mul(a, a)
	if rest.Cmp(n) < 0 {
		a.Add(a, one)
		rest.Mul(a, a)
	}
	rest.Sub(rest, n)
	step := new(big.Int).Lsh(a, 1)
	step.Add(step, one) // (a+1)^2 - a^2
	root, square := new(big.Int), new(big.Int)
	for range fermatRounds {
		if maybeSquare(rest) {
			root.Sqrt(rest)
			if square.Mul(root, root).Cmp(rest) == 0 {
				return true
			}
		}
		rest.Add(rest, step)
		step.Add(step, big.NewInt(2))
	}
	return false
}

// maybeSquare rules out most numbers by what squares leave modulo 64, which
// spares them the root.
func maybeSquare(n *big.Int) bool {
	if n.Sign() == 0 {
		return true
	}
	low := uint(n.Bits()[0]) & 63
	const residues = 1<<0 | 1<<1 | 1<<4 | 1<<9 | 1<<16 | 1<<17 | 1<<25 | 1<<33 | 1<<36 | 1<<41 | 1<<49 | 1<<57
	return uint64(residues)>>low&1 == 1
}

// rocaGroups holds, for each of the first odd primes, the powers of 65537: the
// primes of the broken generator are such a power modulo all of them
// (Nemec et al., "The Return of Coppersmith's Attack", section 2).
var rocaGroups = sync.OnceValue(func() map[uint64][]bool {
	groups := make(map[uint64][]bool)
	for _, batch := range smallPrimes() {
		for _, prime := range batch.primes {
			if prime > 167 {
				return groups
			}
			member := make([]bool, prime)
			for power := uint64(1); !member[power]; power = power * rsaExponent % prime {
				member[power] = true
			}
			groups[prime] = member
		}
	}
	return groups
})

func infineon(n *big.Int) bool {
	var product, rest big.Int
	groups := rocaGroups()
	for _, batch := range smallPrimes() {
		remainder := rest.Mod(n, product.SetUint64(batch.product)).Uint64()
		for _, prime := range batch.primes {
			if group, ok := groups[prime]; ok && !group[remainder%prime] {
				return false
			}
		}
	}
	return true
}
