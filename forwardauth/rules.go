package forwardauth

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/vippsauth/vippsauth/vipps"
)

// Policy is a named set of rules for a part of the sites. It differs from its [Config] in what is set here; a login and
// its session are the same whatever the policy.
type Policy struct {
	// Name is what a proxy puts into the path behind the endpoint: lower-case letters, digits and hyphens. Required;
	// "default" is the one of the Config.
	Name string
	// Allow says who may pass. Default: that of the Config.
	Allow []string
	// Headers are the identity headers. A header that another policy or site has and this one doesn't is sent empty, so that
	// what a proxy copies clears what the client sent. Default: those of the Config.
	Headers []string
	// HeaderEncoding is how they are written. Default: that of the Config.
	HeaderEncoding string
	// WithoutSession is "login", "page" or "anonymous". Default: that of the Config.
	WithoutSession string
	// ACRValues, separated by blanks, are what logins must prove here: whoever is logged in with less is sent to Vipps again,
	// which is asked for them. Where the Client has ACRValues, they must be of these. Default: what the Client asks for.
	ACRValues string
	// QRs are the qr_ids of the QR codes here: only logins that came by one of these pass. Default: those of the Config.
	QRs []string
}

// mode is the setting without_session.
type mode int64

const (
	modeLogin mode = iota
	modePage
	modeAnonymous
)

var modes = [...]string{modeLogin: WithoutSessionLogin, modePage: WithoutSessionPage, modeAnonymous: WithoutSessionAnonymous}

// parseMode reads a mode by its name; any other name is modeLogin, and not ok.
func parseMode(name string) (mode, bool) {
	i := slices.Index(modes[:], name)
	return mode(max(i, 0)), i >= 0
}

// query is what tells the login page of a mode that isn't the usual one. auto marks a redirect that nobody asked for, from
// a page that may be read anonymously.
func (m mode) query(usual mode) string {
	switch {
	case m == modeAnonymous:
		return "&auto=1"
	case m != usual:
		return "&mode=" + modes[m]
	}
	return ""
}

// modeOf is the mode that a visit to the login page is of, and whether it was somebody's wish: on a site that is read
// anonymously nothing else leads there, but for the redirects that say so. A visitor who makes one up chooses how they
// themselves are asked, and nothing else.
func (e *Engine) modeOf(query url.Values) (m mode, asked bool) {
	if query.Get("auto") != "" && e.readable {
		return modeAnonymous, false
	}
	if m, ok := parseMode(query.Get("mode")); ok && m != modeAnonymous {
		return m, false
	}
	return e.rules[0].mode, e.rules[0].mode == modeAnonymous
}

// rules are what a policy says, made ready.
type rules struct {
	name  string
	index int // in Engine.rules, and in opened.views
	who   *policy
	mode  mode
	acr   string       // blank-separated; empty: any login will do
	acrs  []string     // its values
	qrs   []string     // empty: however the login came
	specs []headerSpec // after alignHeaders one for each of the engine's names; without Claim where the policy has no such header
}

// parseRules reads the rules of the configuration itself and those of its policies.
func (c *Config) parseRules() ([]*rules, []error) {
	own := Policy{Name: defaultPolicy, Allow: c.Allow, Headers: c.Headers, HeaderEncoding: c.HeaderEncoding, WithoutSession: c.WithoutSession, QRs: c.QRs}
	var all []*rules
	var errs []error
	seen := map[string]bool{}
	for i, p := range append([]Policy{own}, c.Policies...) {
		var base *rules
		if i > 0 {
			base = all[0]
		}
		r, problems := c.parsePolicy(p, base)
		if i > 0 {
			name := p.Name
			if !policyName(name) || seen[name] {
				name = fmt.Sprintf("policy %d", i)
				problems = append(problems, errors.New("its name must be of lower-case letters, digits and hyphens, not `default`, and its own"))
			}
			for j, err := range problems {
				problems[j] = &vipps.ConfigError{Setting: "policies", Reason: fmt.Sprintf("%s: %v", name, err)}
			}
		}
		seen[p.Name] = true
		errs = append(errs, problems...)
		r.index = i
		all = append(all, r)
	}
	return all, errs
}

// parsePolicy reads one policy. What it doesn't say is as in base, the rules of the configuration itself, for which base is nil.
func (c *Config) parsePolicy(p Policy, base *rules) (*rules, []error) {
	r := &rules{name: p.Name}
	var errs, problems []error
	ownAllow := base == nil || len(p.Allow) > 0
	if ownAllow {
		r.who, errs = parseAllow(p.Allow, c.Market, c.Now)
	} else {
		r.who = base.who
	}
	if base != nil && len(p.Headers) == 0 && p.HeaderEncoding == "" {
		r.specs = base.specs
	} else {
		if len(p.Headers) == 0 {
			p.Headers = c.Headers
		}
		defaultTo(&p.HeaderEncoding, c.HeaderEncoding)
		r.specs, problems = parseHeaders(p.Headers, p.HeaderEncoding, c.Scopes)
		errs = append(errs, problems...)
	}
	switch mode, known := parseMode(p.WithoutSession); {
	case base != nil && p.WithoutSession == "":
		r.mode = base.mode
	case !known && base != nil: // what the configuration itself says, check has seen
		errs = append(errs, &vipps.ConfigError{Setting: "without_session", Reason: "must be one of " + strings.Join(modes[:], ", ")})
	default:
		r.mode = mode
	}
	errs = append(errs, r.addProofs(p, c)...)
	// At one of several sites a policy may be of no use, and lets nobody pass there whom it knows by phone number only.
	if useful := base == nil || !c.oneOfSeveral; ownAllow && useful && r.who.listsPhones() && !slices.Contains(c.Scopes, vipps.ScopePhoneNumber) && !slices.Contains(c.Scopes, "phone") {
		errs = append(errs, &vipps.ConfigError{
			Setting: "scopes", Reason: "lacks phoneNumber, which allow needs: it lists phone numbers, and without the scope nobody's is known",
		})
	}
	return r, errs
}

// policyName reports whether a name can stand in a path as it is.
func policyName(name string) bool {
	return name != "" && len(name) <= 64 && name != defaultPolicy && !strings.ContainsFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-')
	})
}

// alignHeaders gives every policy of every site the same headers, in the same order. One that a policy doesn't have is
// empty there and taken from clients all the same: two sites may have one app, or a proxy that copies one list. A proxy of a
// site may also copy that site's headers only, so there a request that brings another's is refused, see [stripper.hasAlias].
func alignHeaders(engines []*Engine) {
	union := headersOf(engines)
	names := namesOf(union)
	for _, e := range engines {
		e.names, e.strip = names, newStripper(union)
		e.strip.configured = namesOf(headersOf([]*Engine{e}))
		e.unnamed = emptyHeaders(names, func(i int) string {
			if names[i] == headerAuth {
				return authAnonymous
			}
			return ""
		})
		for _, r := range e.rules {
			r.align(union)
		}
	}
}

// headersOf are the headers that any policy of these engines has, without what they carry.
func headersOf(engines []*Engine) []headerSpec {
	var union []headerSpec
	for _, e := range engines {
		for _, r := range e.rules {
			for _, spec := range r.specs {
				if !slices.ContainsFunc(union, func(s headerSpec) bool { return s.Name == spec.Name }) {
					union = append(union, headerSpec{Name: spec.Name})
				}
			}
		}
	}
	return union
}

func namesOf(specs []headerSpec) []string {
	names := make([]string, len(specs))
	for i, spec := range specs {
		names[i] = spec.Name
	}
	return names
}

func (r *rules) align(union []headerSpec) {
	aligned := make([]headerSpec, len(union))
	for i, u := range union {
		aligned[i] = u
		if at := slices.IndexFunc(r.specs, func(s headerSpec) bool { return s.Name == u.Name }); at >= 0 {
			aligned[i] = r.specs[at]
		}
	}
	r.specs = aligned
}

// rulesOf are those of a policy by its name, and nil for an unknown one.
func (e *Engine) rulesOf(name string) *rules {
	if name == "" || name == defaultPolicy {
		return e.rules[0]
	}
	for _, r := range e.rules[1:] {
		if r.name == name {
			return r
		}
	}
	return nil
}

// view is a session as one policy sees it.
type view struct {
	values  [][]string    // one for each of the engine's names; for answers of ours only, see [Engine.identify]
	empty   []string      // see emptyHeaders
	verdict atomic.Uint64 // version of the policy << 1 | allowed; 0 is none yet

	weak       bool // the login has not proved what the policy asks for
	byOtherWay bool // the login did not come by one of the policy's QR codes
}

// allowed asks a policy, once for each version of it.
func (e *Engine) allowed(op *opened, r *rules) bool {
	if op.views[r.index].byOtherWay {
		return false
	}
	verdict := &op.views[r.index].verdict
	version := r.who.version()
	if v := verdict.Load(); v>>1 == version+1 {
		return v&1 == 1
	}
	ok := r.who.allows(op.data.Sub, op.phone)
	if err := r.who.fileError(); err != nil && e.limits.allow("allow file", 1, e.now()) {
		e.log.Error("a file of allow cannot be used: the list is as it last was", zap.Error(err))
	}
	v := (version + 1) << 1
	if ok {
		v |= 1
	}
	verdict.Store(v)
	return ok
}

// allowedSomewhere reports whether any policy lets this person pass. Which one is asked is for the page to say.
func (e *Engine) allowedSomewhere(op *opened) bool {
	return slices.ContainsFunc(e.rules, func(r *rules) bool { return e.allowed(op, r) })
}
