package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vippsauth/vippsauth/vipps/emulator"
)

func (p *program) emulatorCommand() *cobra.Command {
	var addr, id, method string
	var uris []string
	cmd := &cobra.Command{
		Use:     "emulator [flags]",
		Short:   "Run the Vipps emulator alone, on loopback",
		GroupID: groupStart,
		Long: `Run a Vipps that is not Vipps: the Login API with its pages and a dozen made-up people,
on loopback only, for work and tests without a network. It keeps nothing when it ends.`,
		Example: `  vippsauth emulator
  vippsauth emulator --listen 127.0.0.1:0 --redirect-uri http://localhost:8080/_vipps/callback`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return failed(p.emulate(cmd.Context(), addr, emulator.Client{
				ID: id, Secret: emulatorClientSecret, Name: "vippsauth", RedirectURIs: uris, AuthMethod: method, Advanced: true,
			}))
		},
	}
	f := cmd.Flags()
	f.StringVar(&addr, "listen", "127.0.0.1:4192", "the loopback address to listen on; port 0 takes a free one")
	f.StringArrayVar(&uris, "redirect-uri", []string{"http://localhost:4190" + callbackPath, "http://localhost:4190" + merchantCallback}, "a redirect URI of the client, on loopback; may be given more than once")
	f.StringVar(&id, "client-id", emulatorClientID, "the client id to know")
	f.StringVar(&method, "auth-method", emulator.AuthBasic, "how the client must show its secret: "+emulator.AuthBasic+" or "+emulator.AuthPost)
	for name, kind := range map[string]string{"listen": "address", "redirect-uri": "url", "client-id": "id", "auth-method": "method"} {
		f.Lookup(name).Annotations = map[string][]string{kindAnnotation: {kind}}
	}
	return cmd
}

// emulate runs the emulator until ctx ends.
func (p *program) emulate(ctx context.Context, addr string, client emulator.Client) error {
	wrong := checkEmulatorFlags(client)
	cfg := emulator.Config{}
	if wrong == nil {
		cfg.Clients = []emulator.Client{client}
	}
	srv, err := emulator.Start(addr, cfg) //nolint:contextcheck // it runs until Close
	if err != nil {
		return errors.Join(wrong, listenError("--listen", addr, err))
	}
	if wrong != nil { // the start was only to see whether the address is good
		return errors.Join(wrong, srv.Close()) //nolint:contextcheck // as above
	}
	fmt.Fprintf(p.stdout, `A Vipps that is not Vipps is at %s, for this machine only.

  issuer         %s
  client_id      %s
  client_secret  %s  (of the emulator only)
  redirect URIs  %s
  control        %s/_emulator/
  phones         %s/_emulator/phone

Ctrl-C stops it, and it forgets everything.
`, srv.URL, srv.Issuer, client.ID, client.Secret, strings.Join(client.RedirectURIs, "\n                 "), srv.URL, srv.URL)
	<-ctx.Done()
	return srv.Close() //nolint:contextcheck // ctx has ended
}

// checkEmulatorFlags returns an error for each flag that doesn't make a client. It shows no values.
func checkEmulatorFlags(client emulator.Client) error {
	var errs []error
	if client.ID == "" {
		errs = append(errs, errors.New("--client-id: must not be empty"))
	}
	if client.AuthMethod != emulator.AuthBasic && client.AuthMethod != emulator.AuthPost {
		errs = append(errs, fmt.Errorf("--auth-method: must be %s or %s", emulator.AuthBasic, emulator.AuthPost))
	}
	for i, uri := range client.RedirectURIs {
		if !isLoopbackURI(uri) {
			errs = append(errs, fmt.Errorf("--redirect-uri: redirect URI %d must be an http or https URL on loopback, without a fragment or user, such as http://localhost:4190%s", i+1, callbackPath))
		}
	}
	return errors.Join(errs...)
}

// isLoopbackURI reports whether the emulator takes uri for a redirect URI.
func isLoopbackURI(uri string) bool {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || strings.Contains(uri, "#") {
		return false
	}
	host := strings.ToLower(u.Hostname())
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") && host != ".localhost" || err == nil && ip.Zone() == "" && ip.Unmap().IsLoopback()
}
