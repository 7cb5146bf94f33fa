package doctor

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/fapid/fapid/mtls"
)

// dnText prints a DER name for people.
func dnText(raw []byte) string {
	name, err := mtls.ParseName(raw)
	switch {
	case err != nil:
		return "(unreadable name)"
	case len(name) == 0:
		return "(empty name)"
	}
	return name.ShortNames()
}

// dnList prints a few names: a server may hint hundreds.
func dnList(names [][]byte) string {
	const shown = 4
	var list []string
	for i, raw := range names {
		if i == shown {
			list = append(list, fmt.Sprintf("and %d more", len(names)-shown))
			break
		}
		list = append(list, dnText(raw))
	}
	return strings.Join(list, "; ")
}

func keyText(public any) string {
	switch key := public.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", key.N.BitLen())
	case *ecdsa.PublicKey:
		return key.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return fmt.Sprintf("%T", public)
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// daysLeft counts whole days; negative from the first second after the end.
func daysLeft(c *x509.Certificate, now time.Time) int {
	return int(math.Floor(c.NotAfter.Sub(now).Hours() / 24))
}

func daysLeftText(c *x509.Certificate, now time.Time) string {
	switch left := c.NotAfter.Sub(now); {
	case left < 0:
		return "expired " + span(-left) + " ago"
	case now.Before(c.NotBefore):
		return "not valid yet"
	default:
		return span(left) + " left"
	}
}

// span counts in days, or in hours where days would be too coarse.
func span(d time.Duration) string {
	if d < 48*time.Hour {
		return plural(int(d/time.Hour), "hour")
	}
	return plural(int(d/(24*time.Hour)), "day")
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func joinAnd(list []string) string {
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	return strings.Join(list[:len(list)-1], ", ") + " and " + list[len(list)-1]
}

// shortError says what a person wants to know of a network error: addresses
// are in the finding already.
func shortError(err error) string {
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case err == nil:
		return "unknown"
	case errors.As(err, &dns):
		return "no such host: " + dns.Name
	case isTimeout(err), errors.Is(err, os.ErrDeadlineExceeded):
		return "no answer in time"
	case errors.As(err, &op) && (op.Op == "dial" || op.Op == "read" || op.Op == "write"):
		return op.Err.Error()
	}
	return err.Error()
}

// plain makes foreign text fit for one line of a terminal: a server must not
// be able to move the cursor or colour its own verdict.
func plain(s string) string {
	const longest = 2000
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
	if len(s) > longest {
		s = strings.ToValidUTF8(s[:longest], "") + "..."
	}
	return s
}
