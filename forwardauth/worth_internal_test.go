package forwardauth

import (
	"net/http"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
)

// Attack: somebody has given themselves another's e-mail address, which nobody has verified, while email_unverified was pass;
// or has logged in with less than the acr_values that are asked for since. The operator changes the setting. The session, a
// login that waits for "Continue as …" and one that is on its way are from before, and are worth what they were worth then: none of
// them makes a person of them.
func TestSec_B077_C030_SessionsAreWorthWhatTheSettingsSay(t *testing.T) {
	t.Parallel()
	key := newKeyOf(t)
	with := func(acr string, change func(*Config)) *Engine {
		cfg := Config{Client: clientWith(t, acr), Keys: session.Keys{key}, PublicURLs: []string{"https://" + targetHost}}
		change(&cfg)
		e, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	none := func(*Config) {}
	pass := func(c *Config) { c.EmailUnverified = EmailUnverifiedPass }
	for name, tt := range map[string]struct {
		before, after *Engine
		opens         bool
	}{
		"nothing changed":    {with("", none), with("", none), true},
		"nor with certainty": {with("urn:vipps:high", pass), with("urn:vipps:high", pass), true},
		"pass before":        {with("", pass), with("", none), false},
		"pass since":         {with("", none), with("", pass), false},
		"less certain":       {with("", none), with("urn:vipps:high", none), false},
		"otherwise certain":  {with("urn:vipps:low", none), with("urn:vipps:high", none), false},
	} {
		before, after := tt.before.list[0], tt.after.list[0]
		value := tt.before.sessionOf(t, targetHost, "somebody")
		if op, _ := tt.after.session(after, http.Header{"Cookie": {value}}, time.Now()); (op != nil) != tt.opens {
			t.Errorf("%s: the session opens %t", name, op != nil)
		}
		now := time.Now()
		waiting := confirmation{Session: sessionData{ID: "id", Sub: "somebody", Issued: now, Expires: now.Add(time.Hour)}, Made: now}
		if _, err := after.confirms.Open(sealedIn(t, before.confirms, waiting.payload())); (err == nil) != tt.opens {
			t.Errorf("%s: what waits for its answer: %v", name, err)
		}
		if h := tt.after.hint(after, http.Header{"Cookie": {after.hintJar.CookieName() + "=" + sealedIn(t, before.hints, (&hint{Logout: waitsForClick, LoggedOutAt: now}).payload())}}); h.LoggedOutAt.IsZero() {
			t.Errorf("%s: the logout is forgotten", name)
		}
		id := vipps.NewStateID()
		a := attempt{Pending: vipps.PendingLogin{Nonce: "n", Verifier: "v", ACRValues: tt.before.client.ACRValues(), Started: now}, State: hashState(id), ReturnTo: "/"}
		jar := attemptJar(before, id, now)
		w := tt.after.navigate(targetHost, "/_vipps/callback?code=c&state="+id, jar.CookieName()+"="+sealedIn(t, before.pending, a.payload()))
		changed := tt.before.client.ACRValues() != tt.after.client.ACRValues()
		if used := !tt.after.state.use(a.State, now, now.Add(time.Minute)); used == changed || w.Code != http.StatusSeeOther {
			t.Errorf("%s: a login on its way is finished %t, with %d", name, used, w.Code)
		}
	}
}
