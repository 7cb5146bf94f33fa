package mtls

// Finding is one check of a certificate: what was expected, what was presented
// and, if they differ, what the owner of the certificate can do about it. The
// texts are for the operator and the tester; they hold nothing secret.
type Finding struct {
	Check, Expected, Presented, Advice string
	OK                                 bool
}
