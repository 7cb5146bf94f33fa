package doctor

import (
	"crypto/tls"
	"fmt"
	"os"
	"testing"

	"github.com/fapid/fapid/testkeys"
)

func TestGoodServer(t *testing.T) {
	s := goodServer(t)
	s.serve(t)
	r := s.examine(t, nil)
	for _, l := range s.lines(r.Findings) {
		fmt.Println(l)
	}
	r.WriteText(os.Stdout, false)
	_ = testkeys.RSA
	_ = tls.VersionTLS10
}
