package forwardauth

// Verdict is what an [Engine] decided about a request. The zero value denies.
type Verdict uint8

const (
	// Deny refuses without a page: the request could not be judged.
	Deny Verdict = iota
	// Allow lets the request pass, with the identity of the decision, or anonymously.
	Allow
	// Login asks for a session: a redirect to Location for a navigation, 401 for anything else.
	Login
	// Forbid refuses a person whose session is good, but whom the setting allow doesn't list.
	Forbid
	// Misdirected refuses a host that is no public_url.
	Misdirected
	// Logout sends a navigation to one of the app's logout paths to our logout page.
	Logout
)

func (v Verdict) String() string {
	switch v {
	case Allow:
		return "allow"
	case Login:
		return "login"
	case Forbid:
		return "forbid"
	case Misdirected:
		return "misdirected"
	case Logout:
		return "logout"
	default:
		return "deny"
	}
}

// Decision is what to do with one request. It is a value: making it has changed nothing.
type Decision struct {
	Verdict Verdict
	// Location is where a navigation is sent, absolute, for Login and Logout. It is empty for a request that
	// is no navigation.
	Location string

	kind   requestKind
	site   *site
	opened *opened
	view   *view // of opened, by the policy that was asked
}

// Authenticated reports whether the request passes with a person's identity.
func (d Decision) Authenticated() bool { return d.Verdict == Allow && d.opened != nil }

// Sub is the verified subject of an authenticated request, and "" for any other.
func (d Decision) Sub() string {
	if !d.Authenticated() {
		return ""
	}
	return d.opened.data.Sub
}

// Claim returns a claim that the session keeps, as text: those that an identity header, the policy or
// /_vipps/me needs, and no others.
func (d Decision) Claim(name string) (string, bool) {
	if !d.Authenticated() {
		return "", false
	}
	return d.opened.data.claim(name)
}

// Claims calls yield for each claim of an authenticated request until yield returns false.
func (d Decision) Claims(yield func(name, value string) bool) {
	if !d.Authenticated() {
		return
	}
	for _, c := range d.opened.data.Claims {
		if !yield(c.Name, c.Value) {
			return
		}
	}
}
