package token

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/oauth/jwk"
	"github.com/fapid/fapid/store"
	"github.com/fapid/fapid/testkeys"
)

// State is where a signing key stands in its life.
type State string

const (
	Next    State = "next"    // published, not signing yet: caches learn it early
	Active  State = "active"  // signs
	Retired State = "retired" // signs no more, published until its last token has expired
)

// KeyRecord is a signing key at rest: its private half sealed.
type KeyRecord struct {
	ID      string    `json:"kid"`
	Alg     string    `json:"alg"`
	State   State     `json:"state"`
	Created time.Time `json:"created"`
	// Until is when a retired key is no longer published.
	Until  time.Time `json:"published_until,omitzero"`
	Sealed []byte    `json:"sealed,omitempty"` // PKCS #8
}

// Keyring holds a realm's signing keys: per algorithm one that signs, one that
// will, and those that did.
type Keyring struct {
	config  KeyringConfig
	table   store.Table[KeyRecord]
	rotate  sync.Mutex
	current atomic.Pointer[keys]
}

// KeyringConfig is what a keyring needs.
type KeyringConfig struct {
	Realm  string
	Store  store.Store
	Sealer *store.Sealer
	Now    func() time.Time
	// Algs are those of its keys; nil means [Algs], of which RS256 waits for somebody
	// who wants it.
	Algs []string
	// LongestToken is the longest life of anything the keys sign; a retired key
	// stays published that long and [publishMargin] more.
	LongestToken time.Duration
	// Generate makes a key for an algorithm; nil, or a nil key, means [Generate].
	Generate func(alg string) (crypto.Signer, error)
	// AllowTestKeys accepts keys of package testkeys; never set by `fapid serve`.
	AllowTestKeys bool
}

// publishMargin covers clocks that differ and answers still on their way.
const publishMargin = 5 * time.Minute

// keys is one immutable state of the keyring.
type keys struct {
	active map[string]*Key // by alg
	byID   map[string]*Key
	// byHeader finds the key of an access token by its JOSE header.
	byHeader map[string]*Key
	records  []KeyRecord // without the sealed halves
	set      []byte      // the JWKS document
}

// OpenKeyring loads the realm's keys and makes those that are missing.
func OpenKeyring(ctx context.Context, config KeyringConfig) (*Keyring, error) {
	if config.Algs == nil {
		config.Algs = slices.DeleteFunc(slices.Clone(Algs), func(alg string) bool { return alg == seldom })
	}
	k := &Keyring{config: config, table: store.Table[KeyRecord]{
		Store: config.Store, Name: config.Realm + "/signing-key", Now: config.Now,
	}}
	records, err := k.read(ctx)
	if err != nil {
		return nil, err
	}
	if len(records) == 0 {
		if err := k.create(ctx, config.Algs); err != nil {
			return nil, err
		}
	}
	return k, k.load(ctx)
}

// create makes an active and a next key for every algorithm, side by side: an
// RSA key takes a tenth of a second or more.
func (k *Keyring) create(ctx context.Context, algs []string) error {
	made := make([]KeyRecord, 2*len(algs))
	failures := make([]error, len(made))
	var running sync.WaitGroup
	for i := range made {
		running.Go(func() {
			state := Active
			if i%2 == 1 {
				state = Next
			}
			made[i], failures[i] = k.make(algs[i/2], state)
		})
	}
	running.Wait()
	if err := errors.Join(failures...); err != nil {
		return err
	}
	return k.write(ctx, made...)
}

// make generates one key and seals it.
func (k *Keyring) make(alg string, state State) (KeyRecord, error) {
	var signer crypto.Signer
	var err error
	if k.config.Generate != nil {
		signer, err = k.config.Generate(alg)
	}
	if err == nil && signer == nil {
		signer, err = Generate(alg)
	}
	if err != nil {
		return KeyRecord{}, fmt.Errorf("make a %s key: %w", alg, err)
	}
	key, err := NewKey(alg, signer)
	if err != nil {
		return KeyRecord{}, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		return KeyRecord{}, fmt.Errorf("encode a %s key: %w", alg, err)
	}
	return KeyRecord{
		ID: key.ID, Alg: alg, State: state, Created: k.config.Now(),
		Sealed: k.config.Sealer.Seal(der, []byte(key.ID)),
	}, nil
}

// write stores records in one transaction.
func (k *Keyring) write(ctx context.Context, records ...KeyRecord) error {
	return k.config.Store.Update(ctx, func(tx store.Tx) error {
		for _, record := range records {
			if err := k.table.PutTx(tx, record.ID, record, record.Until); err != nil {
				return err
			}
		}
		return nil
	})
}

func (k *Keyring) read(ctx context.Context) ([]KeyRecord, error) {
	var records []KeyRecord
	err := k.table.Scan(ctx, "", "", func(_ string, record KeyRecord) (bool, error) {
		records = append(records, record)
		return true, nil
	})
	if err != nil {
		return nil, fmt.Errorf("signing keys of realm %s: %w", k.config.Realm, err)
	}
	return records, nil
}

// load reads the keys into memory, ready to sign and verify.
func (k *Keyring) load(ctx context.Context) error {
	records, err := k.read(ctx)
	if err != nil {
		return err
	}
	loaded := &keys{active: map[string]*Key{}, byID: map[string]*Key{}, byHeader: map[string]*Key{}}
	var set jose.JSONWebKeySet
	for _, record := range records {
		key, err := k.open(record)
		if err != nil {
			return fmt.Errorf("signing key %s of realm %s: %w", record.ID, k.config.Realm, err)
		}
		loaded.byID[record.ID] = key
		loaded.byHeader[key.accessToken] = key
		if record.State == Active {
			loaded.active[record.Alg] = key
		}
		set.Keys = append(set.Keys, key.public)
		record.Sealed = nil
		loaded.records = append(loaded.records, record)
	}
	for _, alg := range k.config.Algs {
		if loaded.active[alg] == nil {
			return fmt.Errorf("realm %s has no active %s key", k.config.Realm, alg)
		}
	}
	if loaded.set, err = json.Marshal(set); err != nil {
		return fmt.Errorf("JWKS of realm %s: %w", k.config.Realm, err)
	}
	k.current.Store(loaded)
	return nil
}

func (k *Keyring) open(record KeyRecord) (*Key, error) {
	der, err := k.config.Sealer.Open(record.Sealed, []byte(record.ID))
	if err != nil {
		return nil, fmt.Errorf("unseal: %w", err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	signer, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a %T cannot sign", parsed)
	}
	if !k.config.AllowTestKeys && testkeys.Known(signer.Public()) {
		return nil, errors.New("this is a public test key; only `fapid dev` and tests may use it")
	}
	return NewKey(record.Alg, signer)
}

// Active returns the key that signs for an algorithm, nil for an unknown one.
func (k *Keyring) Active(alg string) *Key { return k.current.Load().active[alg] }

// Algs are the algorithms that there are keys for.
func (k *Keyring) Algs() []string {
	active := k.current.Load().active
	return slices.DeleteFunc(slices.Clone(Algs), func(alg string) bool { return active[alg] == nil })
}

// signing returns the key that signs for an algorithm, and makes those of one that
// nobody has wanted before. They were not published then; who verifies by an older key
// set fetches it again, since the kid is not in it.
func (k *Keyring) signing(ctx context.Context, alg string) (*Key, error) {
	if key := k.Active(alg); key != nil {
		return key, nil
	}
	if alg != seldom {
		return nil, fmt.Errorf("no signing key for %s", alg)
	}
	k.rotate.Lock()
	defer k.rotate.Unlock()
	if k.Active(alg) == nil {
		// Whoever asked may have gone: what is made for him is not made again for the next.
		if err := k.begin(context.WithoutCancel(ctx), alg); err != nil {
			return nil, oauth.TemporarilyUnavailable().Because("keys for %s: %w", alg, err)
		}
	}
	return k.Active(alg), nil
}

// begin makes the first keys of an algorithm, if the set has room for them. The caller
// holds rotate.
func (k *Keyring) begin(ctx context.Context, alg string) error {
	records, err := k.read(ctx)
	if err != nil {
		return err
	}
	if len(records)+2 > jwk.MaxKeys {
		return k.tooMany(records)
	}
	if err := k.create(ctx, []string{alg}); err != nil {
		return err
	}
	return k.load(ctx)
}

// Find returns the published key with this kid, or nil.
func (k *Keyring) Find(kid string) *Key { return k.current.Load().byID[kid] }

// signed returns the published key whose access tokens have this JOSE header,
// or nil.
func (k *Keyring) signed(header string) *Key { return k.current.Load().byHeader[header] }

// JWKS returns the published key set (RFC 7517 section 5).
func (k *Keyring) JWKS() []byte { return k.current.Load().set }

// Keys lists the published keys without their private halves.
func (k *Keyring) Keys() []KeyRecord { return k.current.Load().records }

// Rotate makes the next key of each algorithm active, retires the active one and
// prepares another next; all of them or none. Tokens signed before stay verifiable:
// the retired key is published until the longest of them has expired. There is an end
// to that: with more keys than a set may have, nobody could verify anything. Then it
// is too_many_requests, until one of them has gone.
func (k *Keyring) Rotate(ctx context.Context, algs ...string) error {
	k.rotate.Lock()
	defer k.rotate.Unlock()
	for _, alg := range algs {
		if k.Active(alg) == nil {
			return oauth.InvalidRequest("alg is one of %v, of which there are keys", k.Algs())
		}
	}
	records, err := k.read(ctx)
	if err != nil {
		return err
	}
	if len(records)+len(algs) > jwk.MaxKeys {
		return k.tooMany(records)
	}
	var changed []KeyRecord
	for _, alg := range algs {
		fresh, err := k.make(alg, Next)
		if err != nil {
			return err
		}
		changed = append(changed, fresh)
	}
	for _, record := range records {
		if !slices.Contains(algs, record.Alg) || record.State == Retired {
			continue
		}
		if record.State == Active {
			record.State = Retired
			record.Until = k.config.Now().Add(k.config.LongestToken + publishMargin)
		} else {
			record.State = Active
		}
		changed = append(changed, record)
	}
	if err := k.write(ctx, changed...); err != nil {
		return fmt.Errorf("rotate the keys %v of realm %s: %w", algs, k.config.Realm, err)
	}
	return k.load(context.WithoutCancel(ctx)) // it is done, whoever asked may have gone
}

// tooMany refuses a rotation until the first of the retired keys has gone.
func (k *Keyring) tooMany(records []KeyRecord) error {
	var first time.Time
	for _, record := range records {
		if !record.Until.IsZero() && (first.IsZero() || record.Until.Before(first)) {
			first = record.Until
		}
	}
	return oauth.TooManyRequests(first.Sub(k.config.Now()), "%d keys are published, and a set may have %d; the first retired one goes at %s",
		len(records), jwk.MaxKeys, first.UTC().Format(time.RFC3339))
}

// Refresh forgets retired keys whose time has passed.
func (k *Keyring) Refresh(ctx context.Context) error {
	k.rotate.Lock()
	defer k.rotate.Unlock()
	now := k.config.Now()
	for _, record := range k.Keys() {
		if !record.Until.IsZero() && !now.Before(record.Until) {
			return k.load(ctx)
		}
	}
	return nil
}
