package vipps

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// maxConsentAnswers bounds what is kept of a provider's list.
const maxConsentAnswers = 64

// Consents are a person's answers to what a merchant asked beside the claims, with [ScopeDelegatedConsents] or [ScopeCustomFlow].
// Vipps gives them with the first login only in which they were asked: whoever does not store them then has lost them.
//
// fmt and log/slog don't show what is in it; encoding/json does.
type Consents struct {
	// Time is when the person answered; zero if the provider doesn't say.
	Time time.Time
	// Language is that of the texts, such as EN; "" if the provider doesn't say.
	Language string
	// Answers are in the provider's order. What is not there was not asked.
	Answers []ConsentAnswer
	// Raw holds the members delegatedConsents and flowResult of userinfo as they were received, with every text that the
	// person saw.
	Raw json.RawMessage
}

// ConsentAnswer is the answer to one question.
type ConsentAnswer struct {
	// ID is what the merchant calls the question; of a fixed list email, sms, digital and personal.
	ID string
	// Accepted is true only where the provider says exactly that.
	Accepted bool
	// Required says that nobody could go on without accepting.
	Required bool
	// Text is what the person read beside the box; "" if the provider doesn't say.
	Text string
}

// Consents returns the answers in delegatedConsents and flowResult (Vipps, "Collecting consents"; the second as third parties
// document it), and false when there is none of the two. Nothing in them can make it fail.
func (u *User) Consents() (Consents, bool) {
	claims := object(u.Claims)
	raw := object{}
	var c Consents
	for _, source := range []struct {
		name string
		read func(*Consents, object)
	}{{"delegatedConsents", (*Consents).addList}, {"flowResult", (*Consents).addFlow}} {
		if o := claims.object(source.name); o != nil {
			raw[source.name] = claims[source.name]
			source.read(&c, o)
		}
	}
	if len(raw) == 0 {
		return Consents{}, false
	}
	c.Raw, _ = json.Marshal(raw) // of what was decoded from JSON
	return c, true
}

// addList reads delegatedConsents.
func (c *Consents) addList(o object) {
	c.addHead(o)
	for _, answer := range o.objects("consents") {
		c.add(answer, "accepted", "textDisplayedToUser")
	}
}

// addFlow reads flowResult: boxes on one or more screens.
func (c *Consents) addFlow(o object) {
	c.addHead(o)
	for _, screen := range o.objects("screens") {
		for _, element := range screen.objects("elements") {
			if element.string("type") == "checkbox" {
				c.add(element, "checked", "title")
			}
		}
	}
}

func (c *Consents) addHead(o object) {
	if c.Language == "" {
		c.Language = o.string("language")
	}
	if t, err := time.Parse(time.RFC3339, o.string("timeOfConsent")); err == nil {
		c.Time = t.UTC()
	}
}

func (c *Consents) add(o object, accepted, text string) {
	id := o.string("id")
	if id == "" || len(c.Answers) == maxConsentAnswers {
		return
	}
	a := ConsentAnswer{ID: id, Text: o.string(text)}
	// truth also takes the text "true", which is too little for a consent.
	_ = json.Unmarshal(o[accepted], &a.Accepted)
	_ = json.Unmarshal(o["required"], &a.Required)
	c.Answers = append(c.Answers, a)
}

// maxConsentsHeader bounds what of the answers goes into a header, in bytes.
const maxConsentsHeader = 3 << 10

// header is what an application gets in one header: the answers and their time, without the texts. Answers that no longer fit
// are left out, and "truncated" says so.
func (c *Consents) header() string {
	type answer struct {
		ID       string `json:"id"`
		Accepted bool   `json:"accepted"`
		Required bool   `json:"required"`
	}
	out := struct {
		Time    string   `json:"time,omitempty"`
		Answers []answer `json:"answers"`
		Less    bool     `json:"truncated,omitempty"`
	}{Answers: []answer{}}
	if !c.Time.IsZero() {
		out.Time = c.Time.Format(time.RFC3339)
	}
	size := 0
	for _, a := range c.Answers {
		one := answer{ID: a.ID, Accepted: a.Accepted, Required: a.Required}
		if size += len(compactJSON(one)); size > maxConsentsHeader {
			out.Less = true
			break
		}
		out.Answers = append(out.Answers, one)
	}
	return compactJSON(out)
}

// object returns a member that is an object, and nil for anything else.
func (o object) object(name string) object {
	var member object
	if err := json.Unmarshal(o[name], &member); err != nil {
		return nil
	}
	return member
}

// objects returns the objects in a member that is an array.
func (o object) objects(name string) []object {
	var raws []json.RawMessage
	if err := json.Unmarshal(o[name], &raws); err != nil {
		return nil
	}
	var out []object
	for _, raw := range raws {
		if member := (object{name: raw}).object(name); member != nil {
			out = append(out, member)
		}
	}
	return out
}

// String hides everything.
func (c Consents) String() string { return "consents " + redacted }

// Format writes String for every verb.
func (c Consents) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// LogValue is String.
func (c Consents) LogValue() slog.Value { return slog.StringValue(c.String()) }

// String hides everything.
func (a ConsentAnswer) String() string { return "consent " + redacted }

// Format writes String for every verb.
func (a ConsentAnswer) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, a.String()) }

// LogValue is String.
func (a ConsentAnswer) LogValue() slog.Value { return slog.StringValue(a.String()) }
