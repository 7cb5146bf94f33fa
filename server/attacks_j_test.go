package server_test

import (
	"maps"
	"net/http"
	"testing"

	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/servertest"
)

// statements are software statements and signed registration requests of the TPP,
// in the worst case: its own key has signed them, and its id is in every place.
func statements(tpp *servertest.TPP) map[string]map[string]any {
	id := tpp.Metadata.ClientID
	all := map[string]map[string]any{}
	now := tpp.S.Clock.Now().Unix()
	for _, name := range registration.Dialects() {
		dialect, _ := registration.FindDialect(name)
		all["statement of "+name] = dialect.Claims(&registration.Statement{
			Issuer: id, ID: "1", IssuedAt: now, Expires: now + 60, SoftwareID: id, ClientID: id, OrgID: id, OrgStatus: "Active",
			RedirectURIs: []string{"https://tpp.example/cb"}, JWKSURI: "https://tpp.example/jwks", Scope: "accounts",
		})
	}
	all["registration request"] = map[string]any{
		"iss": id, "aud": tpp.Provider.Issuer, "jti": "1", "iat": now, "exp": now + 60,
		"software_id": id, "redirect_uris": []string{"https://tpp.example/cb"}, "software_statement": "e30.e30.e30",
	}
	return all
}

// J7: a software statement or a registration request is no client assertion, no
// access token and no DPoP proof.
func TestAttackJ7StatementsAreNothingElse(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	tpp := s.TPP("jwt", servertest.JWT)
	var rows []forged
	for name, claims := range statements(tpp) {
		rows = append(rows, forged{"J7 " + name, func(t testing.TB, tpp *servertest.TPP) string {
			return assertion(t, tpp, headerOf(tpp), claims)
		}})
		addressed := maps.Clone(claims)
		addressed["aud"] = tpp.Provider.Issuer
		rows = append(rows, forged{"J7 " + name + " for us", func(t testing.TB, tpp *servertest.TPP) string {
			return assertion(t, tpp, headerOf(tpp), addressed)
		}})
		t.Run(name, func(t *testing.T) {
			text := assertion(t, tpp, headerOf(tpp), addressed)
			for _, listener := range []string{s.Issuer, s.MTLS} {
				wantAnswer(t, callBank(t, s, tpp.HTTP, listener, text), http.StatusUnauthorized, "invalid_token")
				answer := exchange(t, s, tpp.HTTP, http.MethodPost, listener+"/token", http.Header{
					"Content-Type": servertest.Form["Content-Type"], "Dpop": {text},
				}, withAssertion(doors(listener)[0].form(), claiming()(t, tpp)).Encode())
				wantAnswer(t, answer, http.StatusBadRequest, "invalid_dpop_proof")
			}
		})
	}
	refuseAll(t, s, tpp, rows)
}

// A realm with a trusted issuer starts, and one whose keys everybody has does not.
func TestRegistrationAtTheStart(t *testing.T) {
	trusted := func(keys string) func(*server.Config) {
		return func(config *server.Config) {
			config.Realms["default"].Registration = &server.Registration{Issuers: map[string]*server.StatementIssuer{
				"ob": {Ecosystem: "uk", Keys: keys},
			}}
		}
	}
	s := servertest.Start(t, trusted("https://keys.example/jwks"))
	s.TPP("tpp").Token()
	if err := servertest.Refused(t, trusted(`{"keys":[]}`)); err == nil {
		t.Error("an issuer without keys")
	}
}
