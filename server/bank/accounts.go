package bank

import (
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/endpoint"
	"github.com/fapid/fapid/server/users"
)

// envelope is the frame of every answer.
type envelope struct {
	Data  any   `json:"Data"`
	Links links `json:"Links"`
	Meta  struct {
		TotalPages int `json:"TotalPages"`
	} `json:"Meta"`
}

type links struct {
	Self string `json:"Self"`
}

func frame(r *endpoint.Request, data any) envelope {
	whole := envelope{Data: data, Links: links{Self: r.Site.MTLSURL + r.URL.Path}}
	whole.Meta.TotalPages = 1
	return whole
}

type accountView struct {
	AccountID   string       `json:"AccountId"`
	Currency    string       `json:"Currency"`
	AccountType string       `json:"AccountType"`
	SubType     string       `json:"AccountSubType"`
	Nickname    string       `json:"Nickname"`
	Account     []identifier `json:"Account"`
}

type identifier struct {
	Scheme string `json:"SchemeName"`
	ID     string `json:"Identification"`
	Name   string `json:"Name"`
}

type amount struct {
	Amount   string `json:"Amount"`
	Currency string `json:"Currency"`
}

func view(owner *users.User, account users.Account) accountView {
	return accountView{
		AccountID: account.ID, Currency: account.Currency, AccountType: "Personal", SubType: account.Kind, Nickname: account.Nickname,
		Account: []identifier{{Scheme: "UK.OBIE.IBAN", ID: account.IBAN, Name: owner.FullName()}},
	}
}

// accounts lists every account of the sandbox: a client that acts for itself
// has no user to narrow it to.
func (b *Bank) accounts(r *endpoint.Request) (any, error) {
	list := []accountView{}
	for _, user := range b.Users.List() {
		for _, account := range user.Accounts {
			list = append(list, view(user, account))
		}
	}
	return frame(r, map[string]any{"Account": list}), nil
}

func (b *Bank) find(r *endpoint.Request) (*users.User, users.Account, error) {
	id := r.Path["AccountId"]
	if user, ok := b.Users.ByAccount(id); ok {
		for _, account := range user.Accounts {
			if account.ID == id {
				return user, account, nil
			}
		}
	}
	return nil, users.Account{}, oauth.NotFound("there is no such account")
}

func (b *Bank) account(r *endpoint.Request) (any, error) {
	user, account, err := b.find(r)
	if err != nil {
		return nil, err
	}
	return frame(r, map[string]any{"Account": []accountView{view(user, account)}}), nil
}

func (b *Bank) balances(r *endpoint.Request) (any, error) {
	_, account, err := b.find(r)
	if err != nil {
		return nil, err
	}
	return frame(r, map[string]any{"Balance": []map[string]any{{
		"AccountId": account.ID, "Type": "ClosingAvailable", "CreditDebitIndicator": "Credit",
		"DateTime": r.Site.Now().UTC().Format("2006-01-02T15:04:05Z"),
		"Amount":   amount{account.Balance, account.Currency},
	}}}), nil
}

func (b *Bank) transactions(r *endpoint.Request) (any, error) {
	_, account, err := b.find(r)
	if err != nil {
		return nil, err
	}
	list := []map[string]any{}
	for _, transaction := range account.Transactions {
		indicator := "Debit"
		if transaction.Credit == users.Yes {
			indicator = "Credit"
		}
		list = append(list, map[string]any{
			"AccountId": account.ID, "TransactionId": transaction.ID, "Status": "Booked",
			"CreditDebitIndicator": indicator, "BookingDateTime": transaction.Date,
			"Amount": amount{transaction.Amount, account.Currency}, "TransactionInformation": transaction.Text,
		})
	}
	return frame(r, map[string]any{"Transaction": list}), nil
}
