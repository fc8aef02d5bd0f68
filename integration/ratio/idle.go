//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// idle measures what the service needs when nobody asks, and what gRPC and Envoy's types have of it: the same program is
// built once more with a stub in place of forwardauth/extauthz.
func (b *bench) idle() error {
	overlay, err := b.withoutGRPC()
	if err != nil {
		return err
	}
	small := filepath.Join(b.dir, "vippsauth-without-grpc")
	if err := build(small, "./cmd/vippsauth", "-overlay", overlay); err != nil {
		return err
	}
	whole, err := b.atRest(b.binary)
	if err != nil {
		return err
	}
	without, err := b.atRest(small)
	if err != nil {
		return err
	}
	b.table.heading("the standalone service", "measured", "of it gRPC", "bar")
	b.table.row("  binary", megabytes(whole.binary), megabytes(whole.binary-without.binary), held(whole.binary, 25, "under %.0f MB"))
	b.table.row("  memory when idle", megabytes(whole.memory), megabytes(whole.memory-without.memory), held(whole.memory, 30, "under %.0f MB"))
	b.table.row("  from its start until it listens", fmt.Sprintf("%.0f ms", whole.ready), fmt.Sprintf("%.0f ms", whole.ready-without.ready), held(whole.ready, 100, "under %.0f ms"))
	return nil
}

// rest is what a program needs, in MB and milliseconds.
type rest struct{ binary, memory, ready float64 }

// atRest starts the program a few times and takes the medians.
func (b *bench) atRest(binary string) (rest, error) {
	info, err := os.Stat(binary)
	if err != nil {
		return rest{}, err
	}
	var memory, ready []float64
	for range 5 {
		cmd, err := b.serve(binary, free(), "VIPPSAUTH_TRUSTED_PROXIES=loopback")
		if err != nil {
			return rest{}, err
		}
		begun := time.Now()
		p, err := b.launch("vippsauth", cmd, listenAddr(cmd.Env))
		if err != nil {
			return rest{}, err
		}
		ready = append(ready, float64(time.Since(begun))/1e6)
		time.Sleep(time.Second)
		mb, err := p.megabytes()
		p.end()
		b.started = b.started[:len(b.started)-1]
		if err != nil {
			return rest{}, err
		}
		memory = append(memory, mb)
	}
	return rest{float64(info.Size()) / 1e6, median(memory), median(ready)}, nil
}

// listenAddr is where the service of this environment listens.
func listenAddr(environ []string) string {
	for _, v := range environ {
		if addr, ok := strings.CutPrefix(v, "VIPPSAUTH_LISTEN="); ok {
			return addr
		}
	}
	return ""
}

// grpcStub has what cmd/vippsauth uses of the package that it replaces.
const grpcStub = `package extauthz

import (
	"context"
	"net"

	"go.uber.org/zap"

	"github.com/vippsauth/vippsauth/forwardauth"
)

type Server struct{}

func New(*forwardauth.Engine, *zap.Logger) *Server   { return &Server{} }
func (*Server) Serve(net.Listener) error             { return nil }
func (*Server) Shutdown(context.Context) error       { return nil }
func (*Server) Close() error                         { return nil }
`

// withoutGRPC writes an overlay for go build in which forwardauth/extauthz is the stub.
func (b *bench) withoutGRPC() (string, error) {
	stub := filepath.Join(b.dir, "stub.go")
	if err := os.WriteFile(stub, []byte(grpcStub), 0o600); err != nil {
		return "", err
	}
	files, err := filepath.Glob("forwardauth/extauthz/*.go")
	if err != nil || len(files) == 0 {
		return "", fmt.Errorf("no forwardauth/extauthz here: %w", err)
	}
	replace := map[string]string{}
	for i, file := range files {
		if file, err = filepath.Abs(file); err != nil {
			return "", err
		}
		replace[file] = ""
		if i == 0 {
			replace[file] = stub
		}
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(b.dir, "overlay.json")
	return path, os.WriteFile(path, text, 0o600)
}
