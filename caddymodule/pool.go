package caddymodule

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/vipps"
)

// What outlives a reload of the configuration, counted by use: a handler takes its references when it is
// provisioned, which is before the handler that it replaces gives back its own.
var (
	clients   = caddy.NewUsagePool() // of pooledClient, with the provider's metadata and keys
	states    = caddy.NewUsagePool() // of pooledState: used logins, ended sessions, the silent breaker
	emulators = caddy.NewUsagePool() // of *runningEmulator, by address
)

// clientKey is a hash of everything in a client's configuration, so that the pool holds no secret as a key.
type clientKey [sha256.Size]byte

// stateKey tells states apart as sessions are.
type stateKey struct{ issuer, clientID string }

type (
	pooledClient struct{ *vipps.Client }
	pooledState  struct {
		*forwardauth.State
		kept *keptRevocations
	}
)

// Destruct does nothing: a client has no goroutines, and its idle connections close themselves.
func (pooledClient) Destruct() error { return nil }

// Destruct saves what is left to save.
func (p pooledState) Destruct() error {
	p.kept.stop()
	return nil
}

func keyOfClient(c vipps.Config) clientKey {
	// %q keeps neighbours apart. Functions and clients of tests aren't in it: only this package fills c.
	return sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q %q %q %q %q %q %q %q %t",
		c.Issuer, c.ClientID, c.ClientSecret.Reveal(), c.ClientAuth, c.Scopes, c.Market, c.ACRValues, c.SystemName, c.SystemVersion,
		c.MerchantSerialNumber, c.SubscriptionKey.Reveal(), c.UserinfoSubscriptionKey))
}

// references are what one handler has taken from pools.
type references []func() error

// takeClient returns the client for a configuration, made when nobody uses one yet.
func (refs *references) takeClient(cfg vipps.Config) (*vipps.Client, error) {
	key := keyOfClient(cfg)
	value, _, err := clients.LoadOrNew(key, func() (caddy.Destructor, error) {
		client, err := vipps.New(cfg)
		if err != nil {
			return nil, err
		}
		return pooledClient{client}, nil
	})
	if err != nil {
		return nil, err
	}
	refs.add(clients, key)
	p, err := pooled[pooledClient](value)
	return p.Client, err
}

// takeState returns the state that all handlers of one client at one provider share. What it revokes is kept in the storage
// of the last of them.
func (refs *references) takeState(issuer, clientID string, storage certmagic.Storage, log *zap.Logger) (*forwardauth.State, error) {
	key := stateKey{issuer, clientID}
	value, _, err := states.LoadOrNew(key, func() (caddy.Destructor, error) {
		state := forwardauth.NewState()
		return pooledState{state, newKeptRevocations(state)}, nil
	})
	if err != nil {
		return nil, err
	}
	refs.add(states, key)
	p, err := pooled[pooledState](value)
	if err != nil {
		return nil, err
	}
	release := p.kept.use(storage, log)
	*refs = append(*refs, func() error { release(); return nil })
	slices.Reverse((*refs)[len(*refs)-2:]) // the storage is given back while there is still somebody to give it to
	p.kept.start()
	return p.State, nil
}

// pooled is a pool's value in its own type.
func pooled[T any](value any) (T, error) {
	v, ok := value.(T)
	if !ok {
		return v, fmt.Errorf("the pool holds a %T", value)
	}
	return v, nil
}

func (refs *references) add(pool *caddy.UsagePool, key any) {
	*refs = append(*refs, func() error {
		_, err := pool.Delete(key)
		return err
	})
}
