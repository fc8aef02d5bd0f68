package forwardauth_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/vippsauth/vippsauth/vipps"
)

// landing redeems the code of a login that began in no browser.
func (w *world) landing(_ context.Context, query url.Values) (*vipps.Login, string, error) {
	code := query.Get("code")
	person := w.codes[code]
	if person == "" {
		return nil, "", &vipps.Error{Stage: vipps.StageToken, Code: "invalid_grant"}
	}
	delete(w.codes, code)
	sub, err := w.provider.Control().Subject("shop", modelPeople[person])
	if err != nil {
		return nil, "", err
	}
	return &vipps.Login{User: vipps.User{Sub: sub, Name: person + " Nordmann"}, IssuedAt: w.now, ExpiresAt: w.now.Add(modelTTL)}, "/", nil
}

// land brings a login that somebody has approved elsewhere to a browser, which need not be that person's.
func (w *world) land(b *modelBrowser, r *modelReplica) {
	person := []string{"Åse", "Per"}[w.random.IntN(2)]
	f := &flight{n: 1000 + w.step, browser: b, began: w.step, clicked: true, person: person}
	code := fmt.Sprintf("code-%d", w.step)
	w.codes[code] = person
	out := w.send(b, r, "GET", landingPath+"?code="+code, "", "")
	w.did("a login of %s lands in %s' browser, attempt %d: %d", person, b.name, f.n, out.Code)
	token := modelToken(out)
	if out.Code != http.StatusFound && out.Code != http.StatusSeeOther || token == "" {
		w.wrong("the landing answers %d", out.Code)
		return
	}
	w.stats["landed"]++
	f.made++
	res := &modelResult{token: token, flight: f, step: w.step, at: w.now, waits: true, landed: true}
	w.results = append(w.results, res)
	if w.random.IntN(2) == 0 {
		w.open(res, b, r)
		w.sayTo(res, b, r, "continue")
	}
}

// replaced holds a session that took the place of another person's against what the page had said.
func (w *world) replaced(res *modelResult, had *modelSession) {
	w.stats["replaced"]++
	if res.instead == "" {
		w.wrong("a session of %s was replaced, and nobody had said so", had.owner)
	}
}
