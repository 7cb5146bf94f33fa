package participant

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/fapid/fapid/certs"
)

// postman writes the environment of the collection, with the signing key, since Postman
// reads no files into variables, and with room for the tokens that its requests fetch.
func (p *Participant) postman(record *Record, variables []variable) ([]byte, error) {
	key, err := certs.KeyPEM(p.SigningKey)
	if err != nil {
		return nil, err
	}
	type entry struct {
		Key     string `json:"key"`
		Value   string `json:"value"`
		Type    string `json:"type"` // default or secret
		Enabled bool   `json:"enabled"`
	}
	variables = append(variables,
		variable{"SIGNING_KEY", string(key), true}, variable{"CLIENT_ASSERTION_TYPE", AssertionType, false},
		variable{"ACCESS_TOKEN", "", true}, variable{"DIRECTORY_ACCESS_TOKEN", "", true})
	values := make([]entry, len(variables))
	for i, v := range variables {
		values[i] = entry{v.name, v.value, "default", true}
		if v.secret {
			values[i].Type = "secret"
		}
	}
	text, err := json.MarshalIndent(map[string]any{
		"id": record.SoftwareID, "name": "fapid " + record.Name, "values": values, "_postman_variable_scope": "environment",
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", FilePostman, err)
	}
	return append(text, '\n'), nil
}

// scriptLines are the lines of a script as the collection has them: members of an array.
func scriptLines(name string) (string, error) {
	script, err := folder.ReadFile("postman/" + name)
	if err != nil {
		return "", err
	}
	var members []string
	for line := range strings.Lines(string(script)) {
		var member strings.Builder
		encoder := json.NewEncoder(&member)
		encoder.SetEscapeHTML(false) // for people to read
		if err := encoder.Encode(strings.TrimSuffix(line, "\n")); err != nil {
			return "", err
		}
		members = append(members, strings.TrimSpace(member.String()))
	}
	return strings.Join(members, ",\n          "), nil
}
