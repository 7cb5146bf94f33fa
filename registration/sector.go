package registration

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/fapid/fapid/oauth"
)

// maxSector is how many redirect URIs a sector may have.
const maxSector = 1000

// checkSector wants every redirect URI in the array that sector_identifier_uri leads
// to: whoever has it vouches for them (OpenID Connect Registration section 5). It is
// fetched anew for every registration, as everything that clients point to is
// fetched.
func (j *judgement) checkSector(ctx context.Context) error {
	uri := j.metadata.SectorIdentifierURI
	if uri == "" {
		return nil
	}
	const member, expected = "sector_identifier_uri", "a JSON array with every redirect URI"
	if err := webURI(uri); err != nil {
		return j.refuseMember(member, "an https URI", quote(uri), "correct it", "%s", err)
	}
	listed, err := j.sector(ctx, uri)
	if err != nil {
		return j.refuseMember(member, expected, err.Error(), "serve the array there, as application/json, from a public address", "%s does not lead to a JSON array of redirect URIs", quote(uri))
	}
	for _, redirect := range j.metadata.RedirectURIs {
		if !slices.Contains(listed, redirect) {
			return j.refuseMember(member, list(listed), quote(redirect), "add it to the array there", "%s does not list the redirect URI %s", quote(uri), quote(redirect))
		}
	}
	j.event.Pass(member, expected, fmt.Sprintf("%d of them", len(listed)))
	return nil
}

func (j *judgement) sector(ctx context.Context, uri string) (listed []string, err error) {
	document, _, err := j.config.Fetch.Get(ctx, uri)
	if err != nil {
		return nil, err
	}
	return listed, oauth.DecodeStrings(bytes.TrimSpace(document), &listed, maxSector)
}
