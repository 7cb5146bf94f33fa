package server_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/servertest"
)

// TestOAuth2Client: golang.org/x/oauth2 as its documentation uses it. The secret
// in the header, encoded, and in the body, or a certificate at the alias; whichever
// the library is told, and whichever it finds out by trying.
func TestOAuth2Client(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	const secret = "a secret: 100% & +more"
	by := func(method string) func(*registration.Metadata) {
		return func(m *registration.Metadata) {
			m.TokenEndpointAuthMethod, m.ClientSecret, m.CertificateBoundTokens = method, secret, false
		}
	}
	basic := s.TPP("basic", servertest.Under("oauth2"), by(oauth.AuthSecretBasic), refreshing)
	post := s.TPP("post", servertest.Under("oauth2"), by(oauth.AuthSecretPost), refreshing)
	certified := s.TPP("certified", refreshing)
	for _, row := range []struct {
		tpp    *servertest.TPP
		secret string
		host   string
		style  oauth2.AuthStyle
	}{
		{basic, secret, s.Issuer, oauth2.AuthStyleInHeader},
		{basic, secret, s.Issuer, oauth2.AuthStyleAutoDetect},
		{post, secret, s.Issuer, oauth2.AuthStyleInParams},
		{post, secret, s.Issuer, oauth2.AuthStyleAutoDetect},
		{certified, "", s.MTLS, oauth2.AuthStyleInParams},
		{certified, "", s.MTLS, oauth2.AuthStyleAutoDetect},
	} {
		ctx := context.WithValue(t.Context(), oauth2.HTTPClient, row.tpp.HTTP)
		config := clientcredentials.Config{
			ClientID: row.tpp.Metadata.ClientID, ClientSecret: row.secret, TokenURL: row.host + "/token",
			Scopes: []string{"accounts"}, AuthStyle: row.style,
		}
		first, err := config.Token(ctx)
		if err != nil {
			t.Errorf("%s, style %d: %v", config.ClientID, row.style, err)
			continue
		}
		if first.Type() != "Bearer" || !first.Valid() || first.Extra("scope") != "accounts" || first.RefreshToken == "" {
			t.Errorf("%s: type %s, until %s, scope %v", config.ClientID, first.Type(), first.Expiry, first.Extra("scope"))
		}
		if status := bankBy(t, config.Client(ctx), row.host); status != http.StatusOK {
			t.Errorf("%s: the bank answers %d", config.ClientID, status)
		}

		// A source renews a token that is old by its refresh token.
		old := *first
		old.Expiry = time.Now().Add(-time.Minute)
		interactive := oauth2.Config{ClientID: config.ClientID, ClientSecret: row.secret, Endpoint: oauth2.Endpoint{TokenURL: config.TokenURL, AuthStyle: row.style}}
		source := interactive.TokenSource(ctx, &old)
		second, err := source.Token()
		if err != nil {
			t.Errorf("%s, style %d: refresh: %v", config.ClientID, row.style, err)
			continue
		}
		if !second.Valid() || second.AccessToken == first.AccessToken || second.RefreshToken == first.RefreshToken {
			t.Errorf("%s: nothing new by the refresh token", config.ClientID)
		}
		if status := bankBy(t, oauth2.NewClient(ctx, source), row.host); status != http.StatusOK {
			t.Errorf("%s: the bank answers %d after the refresh", config.ClientID, status)
		}
	}
}

// TestOAuth2ClientRefusals: the library hands on what the server says.
func TestOAuth2ClientRefusals(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	certified, other := s.TPP("certified"), s.TPP("other")
	for _, row := range []struct {
		tpp         *servertest.TPP
		scope, code string
		status      int
	}{
		{certified, "unheard-of", "invalid_scope", http.StatusBadRequest},
		{other, "accounts", "invalid_client", http.StatusUnauthorized},
	} {
		config := clientcredentials.Config{ClientID: "certified", TokenURL: s.MTLS + "/token", Scopes: []string{row.scope}, AuthStyle: oauth2.AuthStyleInParams}
		_, err := config.Token(context.WithValue(t.Context(), oauth2.HTTPClient, row.tpp.HTTP))
		refusal, ok := errors.AsType[*oauth2.RetrieveError](err)
		if !ok {
			t.Errorf("%s: %v", row.code, err)
			continue
		}
		if refusal.ErrorCode != row.code || refusal.Response.StatusCode != row.status || refusal.ErrorDescription == "" || !strings.HasPrefix(refusal.ErrorURI, s.Admin) {
			t.Errorf("%s: %d %s, %q, %q", row.code, refusal.Response.StatusCode, refusal.ErrorCode, refusal.ErrorDescription, refusal.ErrorURI)
		}
	}
}

// bankBy calls the bank through a client that carries its token itself.
func bankBy(t testing.TB, client *http.Client, host string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, host+"/bank/accounts", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Error(err)
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}
