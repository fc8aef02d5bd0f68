package caddymodule

import (
	"errors"
	"slices"
	"sync"

	"github.com/caddyserver/caddy/v2"

	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// What the emulator's own client is called, as in the standalone service. Nothing but the emulator knows them,
// and it is on loopback only.
const (
	emulatorAddress      = "127.0.0.1:4192"
	emulatorClientID     = "vippsauth-demo"
	emulatorClientSecret = "emulator-demo-secret" //nolint:gosec // of the emulator, where it protects nothing

	emulatorSubscriptionKey = "emulator" // the emulator takes any
	emulatorIssuerPath      = "/access-management-1.0/access/"
)

// runningEmulator is an emulator that the sites with one emulator_listen share.
type runningEmulator struct {
	*emulator.Server

	mu      sync.Mutex
	clients map[string]emulator.Client
}

// Destruct stops the emulator when the last site has let go of it.
func (e *runningEmulator) Destruct() error { return e.Close() }

// register makes a client known, with the redirect URIs of every site that uses it.
func (e *runningEmulator) register(client emulator.Client) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, uri := range e.clients[client.ID].RedirectURIs {
		if !slices.Contains(client.RedirectURIs, uri) {
			client.RedirectURIs = append(client.RedirectURIs, uri)
		}
	}
	if err := e.Control().AddClient(client); err != nil {
		return err
	}
	e.clients[client.ID] = client
	return nil
}

var errNotRunning = errors.New("no emulator runs there")

// takeEmulator returns the emulator that listens on addr. When none does, it starts one if start says so, and
// otherwise returns errNotRunning.
func (refs *references) takeEmulator(addr string, start bool) (*runningEmulator, error) {
	value, _, err := emulators.LoadOrNew(addr, func() (caddy.Destructor, error) {
		if !start {
			return nil, errNotRunning
		}
		server, err := emulator.Start(addr, emulator.Config{BaseURL: "http://" + addr})
		if err != nil {
			return nil, err
		}
		return &runningEmulator{Server: server, clients: map[string]emulator.Client{}}, nil
	})
	if err != nil {
		return nil, err
	}
	refs.add(emulators, addr)
	return pooled[*runningEmulator](value)
}
