package users

// Flag is a boolean that may be unassigned (RFC 7643 section 2.5).
type Flag uint8

// The values of a flag.
const (
	Unset Flag = iota
	Yes
	No
)

// FlagOf is the flag of a boolean.
func FlagOf(yes bool) Flag {
	if yes {
		return Yes
	}
	return No
}

// MarshalJSON writes true or false; one that is unset is left out of records.
func (f Flag) MarshalJSON() ([]byte, error) {
	switch f {
	case Yes:
		return []byte("true"), nil
	case No:
		return []byte("false"), nil
	}
	return []byte("null"), nil
}

// UnmarshalJSON reads what MarshalJSON writes.
func (f *Flag) UnmarshalJSON(text []byte) error {
	*f = Unset
	switch string(text) {
	case "true":
		*f = Yes
	case "false":
		*f = No
	}
	return nil
}
