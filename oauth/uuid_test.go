package oauth_test

import (
	"regexp"
	"testing"
	"time"

	"github.com/fapid/fapid/oauth"
)

func TestUUIDs(t *testing.T) {
	random := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	timed := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	now := time.UnixMilli(0x017F22E279B0) // the example of RFC 9562, appendix A.6
	first, second := oauth.NewTimedUUID(now), oauth.NewTimedUUID(now.Add(time.Millisecond))
	if !timed.MatchString(first) || first[:13] != "017f22e2-79b0" || first >= second || first == oauth.NewTimedUUID(now) {
		t.Errorf("%s, then %s", first, second)
	}
	if one, other := oauth.NewUUID(), oauth.NewUUID(); !random.MatchString(one) || one == other {
		t.Errorf("%s, then %s", one, other)
	}
}
