package directory

// Authority admits organisations to roles.
type Authority struct {
	ID      string `json:"AuthorityId"`
	Name    string `json:"AuthorityName"`
	Code    string `json:"AuthorityCode"`
	Country string `json:"AuthorityCountry"`
	Status  string `json:"Status"`
}

// authorityDomain is a body of rules under an authority, with its roles.
type authorityDomain struct {
	authority Authority
	name      string
	region    string
	about     string
	roles     []domainRole
}

type domainRole struct{ name, about string }

// references are the authorities of the ecosystems, the domains they watch over
// and the roles in them. Adding one is adding a row; ids stay as they are.
var references = []authorityDomain{
	{
		authority: Authority{ID: "5f1c3a52-6a3e-4d0b-9c55-0c7b1f8f4b01", Name: "Financial Conduct Authority", Code: "FCAGBR", Country: "GB", Status: statusActive},
		name:      "PSD2", region: "GB", about: "UK Open Banking",
		roles: []domainRole{
			{"AISP", "account information service provider"}, {"PISP", "payment initiation service provider"},
			{"CBPII", "card based payment instrument issuer"}, {"ASPSP", "account servicing payment service provider"},
		},
	},
	{
		authority: Authority{ID: "687a1c94-b360-4e04-9589-0fa5cb16451b", Name: "Banco Central do Brasil", Code: "BCB", Country: "BR", Status: statusActive},
		name:      "Open Finance Brasil", region: "BR", about: "Open Finance Brasil",
		roles: []domainRole{
			{"DADOS", "data receiver and transmitter"}, {"PAGTO", "payment initiator"},
			{"CONTA", "account holder"}, {"CCORR", "banking correspondent"},
		},
	},
	{
		authority: Authority{ID: "0b8f0e5e-9f0c-4a43-8f0d-3d5a2c1e7a03", Name: "Australian Competition and Consumer Commission", Code: "ACCC", Country: "AU", Status: statusActive},
		name:      "CDR", region: "AU", about: "Consumer Data Right",
		roles: []domainRole{{"DATA_RECIPIENT", "accredited data recipient"}, {"DATA_HOLDER", "data holder"}},
	},
	{
		authority: Authority{ID: "c1a5e1f4-7c2b-4b64-8a0f-5b6d9f3e2c04", Name: "Central Bank of the UAE", Code: "CBUAE", Country: "AE", Status: statusActive},
		name:      "UAE Open Finance", region: "AE", about: "Al Tareq",
		roles: []domainRole{
			{"BDSP", "bank data sharing provider"}, {"BSIP", "bank service initiation provider"},
			{"IDSP", "insurance data sharing provider"}, {"LFI", "licensed financial institution"},
		},
	},
}

// role is a role with the authority that gives it.
type role struct {
	authority *Authority
	name      string
}

// findRole finds a role of a domain.
func findRole(domain, name string) (role, bool) {
	for i := range references {
		if references[i].name != domain {
			continue
		}
		for _, r := range references[i].roles {
			if r.name == name {
				return role{&references[i].authority, name}, true
			}
		}
	}
	return role{}, false
}

// DomainOf finds the domain that has a role; no two have one of the same name.
func DomainOf(role string) (domain string, known bool) {
	for i := range references {
		for _, r := range references[i].roles {
			if r.name == role {
				return references[i].name, true
			}
		}
	}
	return "", false
}

// findAuthority finds an authority by its id.
func findAuthority(id string) (*Authority, bool) {
	for i := range references {
		if references[i].authority.ID == id {
			return &references[i].authority, true
		}
	}
	return nil, false
}
