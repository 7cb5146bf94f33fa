package main

import (
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/fapid/fapid/server/participant"
)

func dpopCommand() *cobra.Command {
	var flags clientFlags
	var with participant.Proof
	command := &cobra.Command{
		Use:   "dpop CLIENT METHOD URL",
		Short: "Print a DPoP proof to paste into curl",
		Long: `Sign a DPoP proof (RFC 9449) with the client's key and print it. It is good for
one request by that method to that address, within a minute. The key is dpop.key
in the client's folder or, where there is none, its signing key.

With --ath the proof is for a request that carries that access token; such a
request has "Authorization: DPoP TOKEN" beside the proof.`,
		Example: `  fapid dpop tpp-dpop POST https://localhost:8443/token
  fapid dpop tpp-dpop GET https://localhost:8443/bank/accounts --ath "$TOKEN"
  curl ... -H "DPoP: $(fapid dpop tpp-dpop POST https://localhost:8443/token)"`,
		Args: cobra.ExactArgs(3),
		RunE: func(command *cobra.Command, args []string) error {
			if u, err := url.Parse(args[2]); err != nil || u.Host == "" {
				return wrongUsage(command, fmt.Errorf("%q is not the address of a request, such as https://localhost:8443/token", args[2]))
			}
			p, err := flags.client(args[0])
			if err != nil {
				return err
			}
			proof, err := p.Proof(args[1], args[2], with)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(command.OutOrStdout(), proof)
			return err
		},
	}
	set := command.Flags()
	dirFlag(set, &flags.dir)
	set.StringVar(&with.Token, "ath", "", "access `token` that the request carries")
	set.StringVar(&with.Nonce, "nonce", "", "the server's DPoP-Nonce, where it wants one")
	return command
}
