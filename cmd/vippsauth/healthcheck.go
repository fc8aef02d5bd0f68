package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const probeTimeout = 3 * time.Second

func (p *program) healthcheckCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "healthcheck [flags]",
		Short:   "Exit 0 when the running instance is ready: the probe of a container",
		GroupID: groupAsk,
		Long: `Ask the running instance's /readyz, at ops_listen. Exit code 0 when it is ready, also
while Vipps is away, and 1 when it isn't. The other settings aren't looked at.`,
		Example: `  vippsauth healthcheck
  vippsauth healthcheck --ops-listen 127.0.0.1:4191`,
		Args: noArgs,
	}
	sf := addSettings(cmd, func(s *setting) bool { return s.key == "ops_listen" })
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, rep := p.load(cmd, sf)
		if rep.has("ops_listen") || rep.incomplete && !rep.isSet("ops_listen") {
			rep.print(p.stderr)
			return errReported
		}
		body, err := probe(cmd.Context(), c.opsListen)
		if err != nil {
			return &failure{fmt.Errorf("not ready: %w", err)}
		}
		fmt.Fprint(p.stdout, body)
		return nil
	}
	return cmd
}

// probe asks /readyz at a listening address.
func probe(ctx context.Context, addr string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	network, target := "tcp", loopbackOf(addr)
	if path, ok := strings.CutPrefix(addr, unixPrefix); ok {
		network, target = "unix", path
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, target)
	}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/readyz", http.NoBody)
	if err != nil {
		return "", err
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }() // it has been read
	body, err := io.ReadAll(io.LimitReader(res.Body, 4<<10))
	if err != nil {
		return "", err
	}
	if res.StatusCode != http.StatusOK {
		return "", errors.New(strings.TrimSpace(string(body)))
	}
	return string(body), nil
}

// loopbackOf turns an address that listens everywhere into one to connect to.
func loopbackOf(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		if ip != nil && ip.To4() == nil {
			return net.JoinHostPort("::1", port)
		}
		return net.JoinHostPort("127.0.0.1", port)
	}
	return addr
}
