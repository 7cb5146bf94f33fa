package bank

import (
	"fmt"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/endpoint"
)

// User is a person of the sandbox: a login, and accounts at the bank.
type User struct {
	Username string    `json:"username"`
	Password string    `json:"password"`
	Name     string    `json:"name"`
	Email    string    `json:"email"`
	Accounts []Account `json:"accounts"`
}

// Account is an account of a user. Amounts are decimal strings, as in the UK
// Account and Transaction API, whose shapes the bank follows.
type Account struct {
	ID           string        `json:"account_id"`
	Currency     string        `json:"currency"` // ISO 4217
	Kind         string        `json:"kind"`     // CurrentAccount, Savings
	Nickname     string        `json:"nickname"`
	IBAN         string        `json:"iban"`
	Balance      string        `json:"balance"`
	Transactions []Transaction `json:"transactions,omitempty"`
}

// Transaction is one booked movement, credit or debit.
type Transaction struct {
	ID     string `json:"transaction_id"`
	Date   string `json:"date"` // RFC 3339
	Amount string `json:"amount"`
	Credit bool   `json:"credit,omitempty"`
	Text   string `json:"text"`
}

// SampleUsers are the people of a fresh sandbox.
func SampleUsers() []User {
	return []User{
		{
			Username: "alice", Password: "alice", Name: "Alice Example", Email: "alice@example.com",
			Accounts: []Account{
				{ID: "10001", Currency: "GBP", Kind: "CurrentAccount", Nickname: "Household", IBAN: "GB33BUKB20201555555555", Balance: "1230.00",
					Transactions: []Transaction{
						{ID: "t-1", Date: "2026-01-05T09:12:00Z", Amount: "1500.00", Credit: true, Text: "Salary"},
						{ID: "t-2", Date: "2026-01-07T17:40:00Z", Amount: "270.00", Text: "Rent share"},
					}},
				{ID: "10002", Currency: "GBP", Kind: "Savings", Nickname: "Holidays", IBAN: "GB94BARC10201530093459", Balance: "4105.50"},
			},
		},
		{
			Username: "bob", Password: "bob", Name: "Bob Example", Email: "bob@example.com",
			Accounts: []Account{
				{ID: "20001", Currency: "EUR", Kind: "CurrentAccount", Nickname: "Everyday", IBAN: "DE89370400440532013000", Balance: "87.13"},
			},
		},
	}
}

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

func view(owner User, account Account) accountView {
	return accountView{
		AccountID: account.ID, Currency: account.Currency, AccountType: "Personal", SubType: account.Kind, Nickname: account.Nickname,
		Account: []identifier{{Scheme: "UK.OBIE.IBAN", ID: account.IBAN, Name: owner.Name}},
	}
}

// accounts lists every account of the sandbox: a client that acts for itself
// has no user to narrow it to.
func (b *Bank) accounts(r *endpoint.Request) (any, error) {
	list := []accountView{}
	for _, user := range b.Users {
		for _, account := range user.Accounts {
			list = append(list, view(user, account))
		}
	}
	return frame(r, map[string]any{"Account": list}), nil
}

func (b *Bank) find(r *endpoint.Request) (User, Account, error) {
	for _, user := range b.Users {
		for _, account := range user.Accounts {
			if account.ID == r.Path["AccountId"] {
				return user, account, nil
			}
		}
	}
	return User{}, Account{}, oauth.NotFound("there is no such account")
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
		if transaction.Credit {
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

// Check refuses users that the bank or a login could not tell apart.
func Check(users []User) error {
	names, accounts := map[string]bool{}, map[string]bool{}
	for _, user := range users {
		if user.Username == "" || names[user.Username] {
			return fmt.Errorf("username %q is empty or used twice", user.Username)
		}
		names[user.Username] = true
		for _, account := range user.Accounts {
			if account.ID == "" || accounts[account.ID] {
				return fmt.Errorf("account_id %q of %s is empty or used twice", account.ID, user.Username)
			}
			accounts[account.ID] = true
		}
	}
	return nil
}
