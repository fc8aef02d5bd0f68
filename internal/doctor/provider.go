package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/vippsauth/vippsauth/vipps"
)

// Provider is a provider to examine, as one client of it.
type Provider struct {
	// Client speaks to it. Required.
	Client *vipps.Client
	// Name is what it is called in the report, such as "Vipps MobilePay, environment test". Default: the issuer.
	Name string
	// RedirectURIs are those of the settings.
	RedirectURIs []string
}

// Examine asks whether the provider is there, knows client id, secret and redirect URIs, and has the same time as we. No
// login is finished by it.
func (p Provider) Examine(ctx context.Context) *Report {
	ctx, cancel := context.WithTimeout(ctx, inAll)
	defer cancel()
	name := p.Name
	if name == "" {
		name = p.Client.Issuer()
	}
	r := &Report{About: name, Requests: 2}
	var f findings
	if err := p.Client.Discover(ctx); err != nil {
		f.problem("discovery", "the provider's metadata or keys can't be had: "+short(err.Error()), "nobody can log in", causesOf(err, "look at issuer or environment, and at the network"))
		r.Findings = f.list
		return r
	}
	f.ok("discovery", "the provider answers, at "+p.Client.Issuer())
	keys := p.keys(ctx, &f)
	for _, uri := range p.RedirectURIs {
		registered := p.Client.ProbeRedirectURI(ctx, uri)
		reportRegistration(&f, "redirect-uri", registered, uri)
		if !keys.Dated {
			keys = registered
		}
	}
	r.Requests += 1 + len(p.RedirectURIs)
	skewOf(&f, keys)
	r.Findings = f.list
	return r
}

// keys asks whether client id and secret are right.
func (p Provider) keys(ctx context.Context, f *findings) vipps.Probe {
	uri := "https://app.example.com" + pathCallback // never called
	if len(p.RedirectURIs) > 0 {
		uri = p.RedirectURIs[0]
	}
	probe := p.Client.ProbeClient(ctx, uri)
	switch probe.Answer {
	case vipps.AnswerYes:
		f.ok("keys", "the provider knows client_id and client_secret: it refused a made-up code, and not them")
	case vipps.AnswerNo:
		f.problem("keys", fmt.Sprintf("the provider refuses client_id and client_secret: %s (HTTP %d) %s", probe.Err.Code, probe.Err.Status, probe.Err.Description),
			"every login fails after the person has confirmed it", causes(probe.Err, "copy both again from the portal, for this environment"))
	default:
		what := "cannot tell whether client_id and client_secret are right"
		if probe.Err != nil {
			what += ": " + probe.Err.Error()
		}
		f.warn("keys", what, "if they aren't, every login fails", causes(probe.Err, "ask again later; then log in once"))
	}
	return probe
}

// skewOf compares the provider's clock with this machine's.
func skewOf(f *findings, p vipps.Probe) {
	seconds := int(p.ClockSkew.Abs().Seconds())
	switch {
	case !p.Dated:
		f.note("clock", "the provider's answers have no Date: clocks can't be compared", "")
	case p.ClockSkew.Abs() < clockOff:
		f.ok("clock", fmt.Sprintf("the provider's clock and this machine's are %d seconds apart", seconds))
	default:
		word := "behind"
		if p.ClockSkew < 0 {
			word = "ahead of"
		}
		f.problem("clock", fmt.Sprintf("this machine's clock is %d seconds %s the provider's", seconds, word), "tokens seem to have ended, or not to have begun, and logins fail", "synchronise the clock (NTP)")
	}
}

// causes joins what is likely behind an error of the provider's.
func causes(e *vipps.Error, otherwise string) string {
	if e == nil {
		return otherwise
	}
	if list := e.Causes(); len(list) > 0 {
		return strings.Join(list, " Or: ")
	}
	return otherwise
}

func causesOf(err error, otherwise string) string {
	e, ok := errors.AsType[*vipps.Error](err)
	if !ok {
		return otherwise
	}
	return causes(e, otherwise)
}
