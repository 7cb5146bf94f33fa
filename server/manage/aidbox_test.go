package manage

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/fapid/fapid/registration"
)

// FuzzAidboxClient: what is read as an Aidbox client and shown as one is read as
// the same registration again, but for the secret, which is never shown.
func FuzzAidboxClient(f *testing.F) {
	f.Add([]byte("secret: verysecret\ngrant_types:\n  - client_credentials\nauth:\n  client_credentials:\n    access_token_expiration: 600 # 10 minutes\n    token_format: jwt\n    refresh_token: true\n    refresh_token_expiration: 86400\n"))
	f.Add([]byte(`{"resourceType":"Client","id":"a","meta":{"versionId":"1"},"name":"n","grant_types":["client_credentials","basic"],"scope":["a","b"],"auth":{"client_credentials":{"audience":["x"]}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, syntax := range []registration.Syntax{registration.JSON, registration.YAML} {
			read, err := aidboxClients.form.read(text, syntax)
			if err != nil {
				continue
			}
			shown, err := json.Marshal(aidboxClients.form.show(&read, "version"))
			if err != nil {
				t.Fatal(err)
			}
			again, err := aidboxClients.form.read(shown, registration.JSON)
			if err != nil {
				t.Fatalf("%s is shown as %s, which is refused: %v", text, shown, err)
			}
			read.ClientSecret = ""
			if !credentials(read) { // nothing is shown of the tokens of a client that has none
				read.AccessTokenFormat, read.AccessTokenExpiration, read.DefaultAudience = again.AccessTokenFormat, 0, nil
				read.RefreshToken, read.RefreshTokenExpiration, read.RefreshTokenExpirationFrom = false, 0, ""
			}
			if !reflect.DeepEqual(normal(read), normal(again)) {
				t.Fatalf("%+v\nis shown as %s and read as\n%+v", read, shown, again)
			}
		}
	})
}

func credentials(m registration.Metadata) bool {
	for _, grant := range m.GrantTypes {
		if grant == "client_credentials" {
			return true
		}
	}
	return false
}

// normal makes an empty list the same as none.
func normal(m registration.Metadata) registration.Metadata {
	if len(m.DefaultAudience) == 0 {
		m.DefaultAudience = nil
	}
	return m
}

func TestEntityTagLists(t *testing.T) {
	for list, want := range map[string][2]bool{ // strong, weak
		`*`: {true, true}, ` * `: {true, true}, `"v.json"`: {true, true}, `"v"`: {true, true}, `W/"v.json"`: {false, true},
		`"x", "v.yaml"`: {true, true}, `"x","y"`: {false, false}, ``: {false, false}, `,, "v.x" ,`: {true, true}, `""`: {false, false},
		`"v,x"`: {false, false}, `"a,b", "v.z"`: {true, true},
	} {
		for i, weak := range []bool{false, true} {
			if got, err := names(list, "v", weak); err != nil || got != want[i] {
				t.Errorf("%s, weak %v: %v, %v", list, weak, got, err)
			}
		}
		if got, err := names(list, "", true); err != nil || got {
			t.Errorf("%s names what is not there: %v, %v", list, got, err)
		}
	}
	for _, bad := range []string{`v`, `"v`, `v"`, `w/"v"`, `"v" x`, `"v""w"`, `"v" "w"`, `"`, `"v""`, `*,"v"`, `W/v`, `'v'`} {
		if _, err := names(bad, "v", true); err == nil {
			t.Errorf("%s is taken for a list of entity tags", bad)
		}
	}
}
