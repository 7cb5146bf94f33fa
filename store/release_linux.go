package store

import (
	"context"
	"syscall"
)

// releasePages takes the pages of the file out of the process's memory. They
// stay in the page cache of the system and come back when they are touched;
// without this, a sweep or a scan leaves the whole file in the resident set.
func (b *Bolt) releasePages() {
	// The transaction keeps the mapping in place meanwhile.
	_ = b.View(context.Background(), func(tx Tx) error {
		engine := tx.(*boltTx).engine
		_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, engine.DB().Info().Data, uintptr(engine.Size()), syscall.MADV_DONTNEED)
		return nil
	})
}
