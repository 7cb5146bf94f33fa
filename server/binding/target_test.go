package binding

import "testing"

func TestTarget(t *testing.T) {
	s := &Sender{Path: "/a/token", Bases: [2]string{"https://as.example", "https://mtls.as.example:8444"}}
	for htu, want := range map[string]bool{
		"https://as.example/a/token":                  true,
		"https://mtls.as.example:8444/a/token":        true,
		"https://as.example/a/token?x=y":              true,
		"https://as.example/a/token#z":                true,
		"https://as.example/a/token?x=y#z":            true,
		"https://as.example/a/token?":                 true,
		"HTTPS://AS.Example/a/token":                  true,
		"https://as.example:443/a/token":              true,
		"https://as.example:/a/token":                 true,
		"https://as.example/a/./token":                true,
		"https://as.example/b/../a/token":             true,
		"https://as.example/%61/token":                true,
		"https://as.example/%61/%74oke%6e":            true,
		"https://as.example/b/%2E%2e/a/token":         true,
		"https://as.example/A/token":                  false,
		"https://as.example/a/token/":                 false,
		"https://as.example//a/token":                 false,
		"https://as.example/a//token":                 false,
		"https://as.example/a/token%20":               false,
		"https://as.example/a%2Ftoken":                false,
		"https://as.example/a/token;x":                false,
		"https://as.example:8444/a/token":             false,
		"https://mtls.as.example/a/token":             false,
		"https://as.example:443:443/a/token":          false,
		"http://as.example/a/token":                   false,
		"http://as.example:443/a/token":               false,
		"https://user@as.example/a/token":             false,
		"https://as.example.evil.example/a/token":     false,
		"https://as.example@evil.example/a/token":     false,
		"https://evil.example/https://as.example/a/t": false,
		"//as.example/a/token":                        false,
		"/a/token":                                    false,
		"a/token":                                     false,
		"https:/a/token":                              false,
		"https:as.example/a/token":                    false,
		"https://as.example/a/token%":                 false,
		"https://as.example/a/token%zz":               false,
		"https://as.example\\a\\token":                false,
		" https://as.example/a/token":                 false,
		"https://as.example/a/token\x00":              false,
		"https://as.example./a/token":                 false,
		"?":                                           false, "": false, "https://": false, "urn:a:token": false,
	} {
		if got := s.calls(htu); got != want {
			t.Errorf("%q: %v, want %v", htu, got, want)
		}
	}
	root := &Sender{Path: "/", Bases: [2]string{"https://as.example", "https://[::1]:8444"}}
	for htu, want := range map[string]bool{
		"https://as.example": true, "https://as.example/": true, "https://as.example?x": true,
		"https://[::1]:8444/": true, "https://[::1]/": false, "https://as.example/x": false,
	} {
		if got := root.calls(htu); got != want {
			t.Errorf("%q: %v, want %v", htu, got, want)
		}
	}
	escaped := &Sender{Path: "/a%2fb/%C3%A4", Bases: [2]string{"https://as.example"}}
	for htu, want := range map[string]bool{
		"https://as.example/a%2fb/%C3%A4": true, "https://as.example/a%2Fb/%c3%a4": true, "https://as.example/a%2Fb/ä": false, "https://as.example/a%2Fb/%C3%A4{": false, "https://as.example/a/b/%C3%A4": false,
	} {
		if got := escaped.calls(htu); got != want {
			t.Errorf("%q: %v, want %v", htu, got, want)
		}
	}
}
