package oauth

// Formats of access tokens.
const (
	// FormatJWT is a signed JWT that an API verifies by itself (RFC 9068).
	FormatJWT = "jwt"
	// FormatOpaque is a random text that says nothing; an API asks what it is
	// good for (RFC 7662).
	FormatOpaque = "opaque"
)
