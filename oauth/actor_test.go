package oauth

import (
	"encoding/json"
	"testing"
)

// TestParty: may_act is read strictly, and admits whoever has all it says.
func TestParty(t *testing.T) {
	shop := Party{Issuer: "https://as.example.com", Subject: "service-account-shop", ClientID: "shop"}
	for encoded, admitted := range map[string]bool{
		`{"sub":"service-account-shop"}`: true, `{"client_id":"shop"}`: true, `{"client_id":"shop","iss":"https://as.example.com"}`: true,
		`{"sub":"shop"}`: false, `{"sub":"service-account-shop","client_id":"stock"}`: false, `{"client_id":"shop","iss":"https://example.com"}`: false,
	} {
		party, err := ParseParty([]byte(encoded))
		if err != nil || party.Admits(shop) != admitted {
			t.Errorf("%s: %v, admits: %v", encoded, err, party.Admits(shop))
		}
	}
	for _, bad := range []string{``, `null`, `{}`, `"shop"`, `["shop"]`, `{"iss":"x"}`, `{"sub":""}`, `{"sub":5}`, `{"sub":"a","sub":"b"}`, `{"SUB":"a"}`, `{"sub":"a","email":"x"}`, `{"sub":"a"}x`, `{"sub":{"a":"b"}}`} {
		if party, err := ParseParty([]byte(bad)); err == nil {
			t.Errorf("%s is read as %+v", bad, party)
		}
	}
	if nobody := (*Party)(nil); !nobody.Admits(shop) {
		t.Error("without may_act somebody may not act")
	}
}

// TestActor: as RFC 8693 section 4.1 nests it, and as people read it.
func TestActor(t *testing.T) {
	act := &Actor{Party: Party{Subject: "stock", ClientID: "stock"}, Act: &Actor{Party: Party{Subject: "alice", ClientID: "shop"}}}
	text, err := json.Marshal(act)
	if want := `{"sub":"stock","client_id":"stock","act":{"sub":"alice","client_id":"shop"}}`; err != nil || string(text) != want {
		t.Errorf("%s, %v", text, err)
	}
	if act.Depth() != 2 || act.String() != "stock, before alice by client shop" || act.Act.Act.Depth() != 0 || act.Act.Act.String() != "nobody" {
		t.Errorf("%d: %s", act.Depth(), act)
	}
}

// FuzzParty: what is read as may_act says who it is, and means the same when it
// is written and read again.
func FuzzParty(f *testing.F) {
	for _, seed := range []string{`{"sub":"a"}`, `{"client_id":"b","iss":"c"}`, `{"sub":"\ud800"}`, `{"sub":"a","sub":"b"}`, `null`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, encoded []byte) {
		party, err := ParseParty(encoded)
		if err != nil {
			return
		}
		if party.Subject == "" && party.ClientID == "" || !party.Admits(*party) {
			t.Errorf("%q names nobody", encoded)
		}
		text, err := json.Marshal(party)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := ParseParty(text); err != nil || *again != *party {
			t.Errorf("%q, written again: %s, %v", encoded, text, err)
		}
	})
}
