package forwardauth

import (
	"strings"
	"time"

	"github.com/vippsauth/vippsauth/session"
)

const (
	sessionVersion = 1
	maxClaims      = 64
	clockSkew      = 60 * time.Second
)

// sessionData is what a session cookie holds, sealed. Issuer, client and site are not in it: the seal is bound
// to them, so a cookie of another site doesn't open at all.
type sessionData struct {
	ID        string // fresh at every login
	Sub       string // from the ID token, never from userinfo
	AuthTime  time.Time
	Issued    time.Time
	Expires   time.Time
	IdleUntil time.Time // zero: no idle limit
	Claims    []claimValue
}

type claimValue struct{ Name, Value string }

func (d *sessionData) claim(name string) (string, bool) {
	if name == "sub" {
		return d.Sub, true
	}
	for i := range d.Claims {
		if d.Claims[i].Name == name {
			return d.Claims[i].Value, true
		}
	}
	return "", false
}

func (d *sessionData) payload() []byte {
	b := session.AppendVersion(nil, sessionVersion)
	b = session.AppendText(b, d.ID)
	b = session.AppendText(b, d.Sub)
	b = session.AppendTime(b, d.AuthTime)
	b = session.AppendTime(b, d.Issued)
	b = session.AppendTime(b, d.Expires)
	b = session.AppendTime(b, d.IdleUntil)
	b = session.AppendCount(b, len(d.Claims))
	for _, c := range d.Claims {
		b = session.AppendText(b, c.Name)
		b = session.AppendText(b, c.Value)
	}
	return b
}

func (d *sessionData) read(payload []byte) error {
	r := session.NewReader(payload)
	if r.Version() != sessionVersion {
		return session.ErrPayload
	}
	d.ID = r.Text()
	d.Sub = r.Text()
	d.AuthTime = r.Time()
	d.Issued = r.Time()
	d.Expires = r.Time()
	d.IdleUntil = r.Time()
	if n := r.Count(maxClaims); n > 0 {
		d.Claims = make([]claimValue, n)
		for i := range d.Claims {
			d.Claims[i] = claimValue{Name: r.Text(), Value: r.Text()}
		}
	}
	if err := r.Done(); err != nil {
		return err
	}
	if d.Sub == "" || d.ID == "" {
		return session.ErrPayload
	}
	return nil
}

// masked says who this is, to the person and to whoever helps them, without giving the whole name away.
func (d *sessionData) masked() string {
	given, _ := d.claim("given_name")
	family, _ := d.claim("family_name")
	if name, ok := d.claim("name"); ok && given == "" {
		given, family, _ = strings.Cut(name, " ")
		if i := strings.LastIndexByte(family, ' '); i >= 0 {
			family = family[i+1:]
		}
	}
	if given = visible(given); given != "" {
		if initial := []rune(visible(family)); len(initial) > 0 {
			return given + " " + string(initial[:1]) + "."
		}
		return given
	}
	if phone, ok := d.claim("phone_number"); ok && len(phone) > 3 {
		return "••• " + phone[len(phone)-3:]
	}
	if len(d.Sub) > 4 {
		return "…" + d.Sub[len(d.Sub)-4:]
	}
	return ""
}

// visible cuts a name down to what a page can show in one line.
func visible(name string) string {
	name = strings.Join(strings.Fields(encodeValue(encodingUTF8, name)), " ")
	if runes := []rune(name); len(runes) > 40 {
		return string(runes[:40]) + "…"
	}
	return name
}
