package server

import (
	"fmt"
	"strconv"
)

// Count is how many of something there may be.
type Count int64

// maxCount is far above what a store of one machine holds.
const maxCount = 10_000_000

// MarshalText writes the form that [Count.UnmarshalText] reads.
func (c Count) MarshalText() ([]byte, error) { return strconv.AppendInt(nil, int64(c), 10), nil }

// MarshalJSON writes a number.
func (c Count) MarshalJSON() ([]byte, error) { return c.MarshalText() }

// UnmarshalText reads a whole number from 1 on; leaving the key out is the default.
func (c *Count) UnmarshalText(text []byte) error {
	parsed, err := strconv.ParseUint(string(text), 10, 63)
	if err != nil || parsed == 0 || parsed > maxCount {
		return fmt.Errorf("%q is not a number from 1 to %d", text, maxCount)
	}
	*c = Count(parsed)
	return nil
}
