package server

import (
	"fmt"
	"strings"
	"time"
)

// Duration is a length of time whose text form is "90s", "10m" or "1h30m".
type Duration time.Duration

// String is the shortest text form: "10m", not "10m0s".
func (d Duration) String() string {
	text := time.Duration(d).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// MarshalText writes the form that [Duration.UnmarshalText] reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads a length of time with units; 0 and less are refused,
// because leaving the key out means the default.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a length of time such as 90s, 10m or 1h30m", text)
	}
	if parsed <= 0 {
		return fmt.Errorf("%s is not a positive length of time", text)
	}
	*d = Duration(parsed)
	return nil
}

func (d Duration) std() time.Duration { return time.Duration(d) }

// Offset is how far a realm's clock is off the machine's: "720h" ahead, "-24h"
// behind.
type Offset time.Duration

// maxOffset keeps every date a realm can meet well inside what certificates and
// tokens can express.
const maxOffset = 10 * 365 * 24 * time.Hour

// MarshalText writes the form that [Offset.UnmarshalText] reads.
func (o Offset) MarshalText() ([]byte, error) { return []byte(Duration(o).String()), nil }

// UnmarshalText reads a length of time with units and an optional sign.
func (o *Offset) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a length of time such as 720h or -24h", text)
	}
	if parsed.Abs() > maxOffset {
		return fmt.Errorf("%s is more than ten years", text)
	}
	*o = Offset(parsed)
	return nil
}
