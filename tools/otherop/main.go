// Command otherop is an OpenID provider that vippsauth's authors did not write: Ory's fosite, the library under a
// certified provider, with the few pages and endpoints around it that a provider needs. The integration tests name it
// as issuer, to show that the client works against a provider whose every byte isn't ours.
//
// It listens on loopback only, keeps everything in memory and knows two made-up people. It is a test tool and no part
// of the product.
//
// When it is ready it prints its issuer, alone on one line, on standard output. It stops on SIGINT and SIGTERM.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "otherop:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, args []string, stdout io.Writer) error {
	var c client
	flags := flag.NewFlagSet("otherop", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:0", "loopback address to listen on")
	flags.StringVar(&c.id, "client-id", "", "the one client's id")
	flags.StringVar(&c.secret, "client-secret", "", "the client's secret")
	flags.Func("redirect-uri", "a redirect URI of the client, compared exactly; may be repeated", func(s string) error {
		c.redirectURIs = append(c.redirectURIs, s)
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return err
	}
	if c.id == "" || c.secret == "" || len(c.redirectURIs) == 0 {
		return errors.New("-client-id, -client-secret and -redirect-uri are required")
	}

	l, err := listenLoopback(ctx, *addr)
	if err != nil {
		return err
	}
	issuer := "http://" + l.Addr().String()
	op, err := newProvider(issuer, c, time.Now)
	if err != nil {
		_ = l.Close()
		return err
	}
	srv := &http.Server{Handler: op.routes(), ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	fmt.Fprintln(stdout, issuer)

	select {
	case err := <-served:
		return err
	case <-ctx.Done():
		return srv.Close()
	}
}

// listenLoopback refuses every address that others could reach: what is served here trusts whoever asks.
func listenLoopback(ctx context.Context, addr string) (net.Listener, error) {
	a, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, err
	}
	if !a.IP.IsLoopback() {
		return nil, fmt.Errorf("%s is not a loopback address", addr)
	}
	return (&net.ListenConfig{}).Listen(ctx, "tcp", a.String())
}
