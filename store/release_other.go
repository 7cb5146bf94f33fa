//go:build !linux

package store

// releasePages leaves the resident set to the system.
func (b *Bolt) releasePages() {}
