package forwardauth

import (
	"net/url"
	"slices"
	"strings"

	"github.com/vippsauth/vippsauth/vipps"
)

// Claims of a session that are not about the person, but about the login.
const (
	claimACR           = "acr"
	claimQR            = "qr_id"
	claimQRDescription = "qr_description"
	claimConsents      = "consents" // JSON: the answers and their time, see [vipps.User.Consents]
)

const (
	maxACRs = 16
	maxQRs  = 1000
)

// addProofs reads what a policy asks of a login, and says what is wrong with it.
func (r *rules) addProofs(p Policy, c *Config) []error {
	var errs []error
	bad := func(setting, reason string) {
		errs = append(errs, &vipps.ConfigError{Setting: setting, Reason: reason})
	}
	r.acrs, r.qrs = strings.Fields(p.ACRValues), p.QRs
	if len(r.qrs) == 0 {
		r.qrs = c.QRs
	}
	r.acr = strings.Join(r.acrs, " ")
	var always []string
	if c.Client != nil {
		always = strings.Fields(c.Client.ACRValues())
	}
	beyond := func(acr string) bool { return len(always) > 0 && !slices.Contains(always, acr) }
	switch {
	case len(p.ACRValues) > 512 || len(r.acrs) > maxACRs || strings.ContainsFunc(r.acr, func(r rune) bool { return r < ' ' || r > '~' }):
		bad("acr_values", "must be printable ASCII, at most 512 characters and 16 values")
	case slices.ContainsFunc(r.acrs, beyond):
		bad("acr_values", "must be of those that all logins must prove (acr_values at the top)")
	case r.acr != "" && r.mode == modeAnonymous:
		bad("acr_values", "can't be used with without_session anonymous: nobody would pass more easily than somebody")
	}
	if len(p.QRs) > maxQRs || slices.ContainsFunc(p.QRs, func(id string) bool { return !isToken(id) }) {
		bad("qr_ids", "must be the ids of QR codes, at most 1000")
	}
	return errs
}

// provedBy reports whether a session's login proved what the policy asks for.
func (r *rules) provedBy(d *sessionData) bool {
	if len(r.acrs) == 0 {
		return true
	}
	acr, ok := d.claim(claimACR)
	return ok && slices.Contains(r.acrs, acr)
}

// cameBy reports whether a session's login came by one of the policy's QR codes, where it has any.
func (r *rules) cameBy(d *sessionData) bool {
	if len(r.qrs) == 0 {
		return true
	}
	id, ok := d.claim(claimQR)
	return ok && slices.Contains(r.qrs, id)
}

// stepUpsOf are the acr_values of policies, by their names.
func stepUpsOf(policies []*rules) map[string]string {
	all := map[string]string{}
	for _, r := range policies {
		if r.acr != "" {
			all[r.name] = r.acr
		}
	}
	return all
}

// asksFor reports whether some policy asks for these acr_values.
func (e *Engine) asksFor(acr string) bool { return e.policyOfACR(acr) != "" }

// policyOfACR is the name of a policy that asks for these acr_values, the first of several, and "" for none.
func (e *Engine) policyOfACR(acr string) string {
	first := ""
	for name, other := range e.stepUps {
		if acr != "" && other == acr && (first == "" || name < first) {
			first = name
		}
	}
	return first
}

// policyQuery is what tells the login page of a policy that asks for more than any login. The names of policies are no
// secret: a visitor who makes one up logs in with a stronger proof, and gets nothing else by it.
func (e *Engine) policyQuery(policy, separator string) string {
	if e.stepUps[policy] == "" {
		return ""
	}
	return separator + "policy=" + policy
}

// policyOf is the policy that a query or a form names, and "" for none or several.
func policyOf(values url.Values) string {
	if names := values["policy"]; len(names) == 1 {
		return names[0]
	}
	return ""
}

// stepUp sends a person whose login has proved less than a policy asks for to the login page, once more.
func (s *site) stepUp(o *Original, r *rules) Decision {
	d := Decision{Verdict: Login, kind: classify(o), site: s}
	if d.kind == kindNavigation {
		d.Location = s.loginURL(o, r.mode)
	}
	return d
}

// mustStepUp reports whether a person who is logged in has to prove more for a policy. Who may not pass anywhere needn't.
func (e *Engine) mustStepUp(op *opened, policy, rd string) bool {
	acr := e.stepUps[policy]
	if op == nil || acr == "" || e.refuses(op, rd) {
		return false
	}
	proved, _ := op.data.claim(claimACR)
	return !slices.Contains(strings.Fields(acr), proved)
}
