package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/outbox"
	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
)

// consentsGiven is the type of the event that tells of consents.
const consentsGiven = "consents.given"

const groupEvents = "Events"

const (
	keepTime    = 3 * time.Second // that a login waits for the disk
	mostKeeping = 100             // that wait for it at a time
)

var errKeeping = errors.New("the disk of consent_dir takes too long: the event is kept if it answers yet")

func eventSettings() []setting {
	g := groupEvents
	return []setting{
		{
			key: "consent_url", group: g, values: "an https URL, or http in your own network, as `http://app:8080/consents`", note: "none", private: true, // some receivers have a secret in it
			doc: "where answers to consents (scopes delegatedConsents, customFlow) are posted, signed, until they have been taken",
			set: text(func(c *config) *string { return &c.consentURL }),
		},
		{
			key: "consent_secret", group: g, values: "`whsec_…` (`vippsauth keygen --events`)", note: "required with `consent_url`", secret: true,
			doc: "what signs them, as Standard Webhooks says",
			set: func(c *config, items []string) error { c.consentSecret = vipps.Secret(items[0]); return nil },
		},
		{
			key: "consent_dir", group: g, values: "a path to a directory", note: "`cookie_keys_file` with `.events` behind it; required where there is none",
			doc: "where they are kept, sealed, until they have been taken",
			set: text(func(c *config) *string { return &c.consentDir }),
		},
	}
}

// eventsDir is the directory of the outbox; empty when none is known.
func (c *config) eventsDir() string {
	if c.consentDir == "" && c.cookieKeysFile != "" {
		return filepath.Clean(c.cookieKeysFile) + ".events"
	}
	return c.consentDir
}

// checkEvents looks at the settings of the outbox.
func (c *config) checkEvents(rep *report) {
	if c.consentURL == "" {
		for _, key := range []string{"consent_secret", "consent_dir"} {
			if rep.isSet(key) {
				rep.add(problem{rep.source(key), key, "is set without consent_url", "set consent_url as well, or take it out"})
			}
		}
		return
	}
	if dir := c.eventsDir(); dir != "" && !rep.has("consent_dir") {
		if err := mayKeepFilesIn(dir); err != nil {
			rep.add(problem{rep.source("consent_dir"), "consent_dir", "can't be written to: " + reasonOf(err), "let the user that runs vippsauth write to " + dir + ", or name another directory"})
		}
	}
	cfg := outbox.Config{URL: c.consentURL, Secret: c.consentSecret, Dir: c.eventsDir()}
	rep.addErrors(cfg.Check())
	if len(c.scopesOfAll(vipps.ScopeDelegatedConsents, vipps.ScopeCustomFlow)) == 0 {
		rep.warn(problem{rep.source("consent_url"), "consent_url", "gets nothing, since no scope asks for consents", "add delegatedConsents or customFlow to scopes"})
	}
}

// mayKeepFilesIn returns why files can't be kept in a directory, which may be yet to be made, as far as can be told without a trace.
func mayKeepFilesIn(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return mayCreateIn(filepath.Dir(dir))
	case err != nil:
		return err
	case !info.IsDir():
		return errors.New("it is a file")
	}
	return mayCreateIn(dir)
}

// scopesOfAll are those of the given scopes that any site asks for.
func (c *config) scopesOfAll(scopes ...string) []string {
	var asked []string
	for _, sc := range c.all() {
		for _, scope := range scopes {
			for _, s := range sc.scopes {
				if s == scope {
					asked = append(asked, s)
				}
			}
		}
	}
	return asked
}

// consentEvent is the data of an event that tells of consents.
type consentEvent struct {
	Sub        string          `json:"sub"`
	Issuer     string          `json:"issuer"`
	ClientID   string          `json:"client_id"`
	AnsweredAt string          `json:"answered_at,omitempty"`
	Language   string          `json:"language,omitempty"`
	Answers    []consentAnswer `json:"answers"`
	Original   json.RawMessage `json:"original"`
}

type consentAnswer struct {
	ID       string `json:"id"`
	Accepted bool   `json:"accepted"`
	Required bool   `json:"required"`
	Text     string `json:"text,omitempty"`
}

func newConsentEvent(client *vipps.Client, sub string, c vipps.Consents) consentEvent {
	e := consentEvent{Sub: sub, Issuer: client.Issuer(), ClientID: client.ClientID(), Language: c.Language, Answers: []consentAnswer{}, Original: c.Raw}
	if !c.Time.IsZero() {
		e.AnsweredAt = c.Time.Format(time.RFC3339)
	}
	for _, a := range c.Answers {
		e.Answers = append(e.Answers, consentAnswer{ID: a.ID, Accepted: a.Accepted, Required: a.Required, Text: a.Text})
	}
	return e
}

// buildEvents makes what keeps events until they are delivered, where somebody is told of any, and lets the engines of a
// configuration put theirs there.
func (s *service) buildEvents(c *config, cfg *forwardauth.Config, keys session.Keys) (err error) {
	if c.consentURL == "" {
		return nil
	}
	s.events, err = outbox.New(outbox.Config{
		URL: c.consentURL, Dir: c.eventsDir(), Secret: c.consentSecret, Keys: keys, Logger: s.log, Metrics: s.ops.registry,
	})
	if err != nil {
		return err
	}
	cfg.Consented = consented(s.events.Put, cfg.Client)
	for i := range cfg.Sites {
		cfg.Sites[i].Consented = consented(s.events.Put, cfg.Sites[i].Client)
	}
	return nil
}

// runEvents starts what delivers events. What is not delivered at stop is kept on the disk.
func (s *service) runEvents(ctx context.Context) (stop stopFunc) {
	if s.events == nil {
		return nothing
	}
	return s.inBackground(ctx, "delivering events", s.events.Run)
}

// consented keeps an event for the receiver of consents. A disk that hangs holds up no login for long, and not so many at a time.
func consented(put func(ctx context.Context, kind string, data any) error, client *vipps.Client) func(ctx context.Context, sub string, c vipps.Consents) error {
	under := make(chan struct{}, mostKeeping)
	return func(ctx context.Context, sub string, c vipps.Consents) error {
		select {
		case under <- struct{}{}:
		default:
			return errKeeping
		}
		kept := make(chan error, 1)
		go func() {
			defer func() { <-under }()
			// Whoever logs in may go away: the answers come only once.
			kept <- put(context.WithoutCancel(ctx), consentsGiven, newConsentEvent(client, sub, c))
		}()
		late := time.NewTimer(keepTime)
		defer late.Stop()
		select {
		case err := <-kept:
			if errors.Is(err, outbox.ErrFull) {
				return errors.Join(err, errors.New("the receiver of consent_url has been away for too long"))
			}
			return err
		case <-late.C:
			return errKeeping
		}
	}
}
