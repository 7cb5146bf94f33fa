package doctor

import (
	"encoding/json"
	"fmt"
	"strings"
)

// judgeTokenRequests looks at how a token request without any parameter is
// refused: RFC 6749 section 5.2 wants JSON that names the error. A server that
// lets TLS reject certificates can only kill the connection.
func (e *examination) judgeTokenRequests(h *host) (all []Finding) {
	if h.token == "" {
		return nil
	}
	const expected = "a JSON error (RFC 6749 section 5.2)"
	if h.with != nil {
		f := judgeRefusal(*h.with)
		f.Name, f.Expected = "token request with your certificate", expected
		if alert := alertText(h.with.err); alert != "" {
			f.Status, f.blocking = Fail, true
			f.Fix = alertFix(alert)
		}
		all = append(all, f)
	}
	if h.without != nil {
		f := judgeRefusal(*h.without)
		f.Name, f.Expected = "token request without a certificate", expected
		if alertText(h.without.err) != "" {
			f.Fix = "Nothing stops you, but the server lets TLS reject clients, so yours will see only an alert and never invalid_client; " +
				"verify certificates in the application to tell them why."
		}
		all = append(all, f)
	}
	return all
}

func judgeRefusal(x exchange) Finding {
	f := Finding{Status: OK}
	var answer struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if x.err != nil {
		f.Status = Warn
		if alert := alertText(x.err); alert != "" {
			f.Found = "the server killed the TLS connection: " + alert
			return f
		}
		f.Found = "no answer: " + shortError(x.err)
		f.Fix = "Make the token endpoint answer a token request without parameters with a JSON error."
		return f
	}
	f.Found = fmt.Sprintf("HTTP %d", x.status)
	switch {
	case json.Unmarshal(x.body, &answer) == nil && answer.Error != "" && x.status >= 400 && x.status < 500:
		f.Found += " " + answer.Error
		if answer.Description != "" {
			f.Found += ": " + answer.Description
		}
		return f
	case x.status >= 500:
		f.Fix = "Make the token endpoint refuse a token request without parameters with 400 or 401 instead of failing."
	case looksLikeHTML(x.header, x.body):
		f.Found += ", a web page (HTML)"
		f.Fix = "Let requests reach the token endpoint itself: a proxy or a web page answers in its place."
	default:
		f.Found += ", no OAuth error in JSON"
		f.Fix = "Answer a refused token request with 400 or 401 and a JSON error."
	}
	f.Status = Warn
	return f
}

// alertText returns the TLS alert the server sent. The type crypto/tls has for
// it is not exported.
func alertText(err error) string {
	if err == nil {
		return ""
	}
	_, alert, found := strings.Cut(err.Error(), "remote error: tls: ")
	if !found {
		return ""
	}
	return alert
}

// alertFix translates the alerts of servers that verify client certificates in
// TLS (RFC 8446 section 6.2).
func alertFix(alert string) string {
	switch {
	case strings.Contains(alert, "unknown certificate authority"):
		return "The server does not trust the issuer of your certificate: use one from a CA it knows, and put the intermediate after it in the file."
	case strings.Contains(alert, "expired"):
		return "The server says that your certificate has expired: renew it."
	case strings.Contains(alert, "revoked"):
		return "The server says that your certificate is revoked: use another."
	case strings.Contains(alert, "certificate required"):
		return "The server saw no certificate although one was given: its TLS may not accept this kind of key."
	}
	return "The server refuses your certificate in TLS (" + alert + "): look at its purpose (clientAuth), its chain, and the server's log."
}
