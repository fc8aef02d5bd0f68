package emulator

import (
	"fmt"
	"net/url"
	"slices"
	"time"
)

// Scopes that ask the person something of the merchant's own, beside sharing: boxes to tick.
const (
	scopeDelegatedConsents = "delegatedConsents"
	scopeCustomFlow        = "customFlow"
)

// box is one of the boxes that a merchant has set up in the portal. Here they are the same for every merchant.
type box struct {
	id       string
	required bool
	text     [2]string // English, Norwegian
}

// boxesOf are the boxes of a scope; most have none.
func boxesOf(scope string) []box {
	switch scope {
	case scopeDelegatedConsents:
		return []box{
			{"email", true, [2]string{"Receive offers by e-mail", "Motta tilbud på e-post"}},
			{"sms", false, [2]string{"Receive offers by text message", "Motta tilbud på SMS"}},
			{"digital", false, [2]string{"See offers in other digital channels", "Se tilbud i andre digitale kanaler"}},
			{"personal", false, [2]string{"Get offers that suit me", "Få tilbud som passer meg"}},
		}
	case scopeCustomFlow:
		return []box{
			{"terms", true, [2]string{"I accept the club's terms", "Jeg godtar klubbens vilkår"}},
			{"newsletter", false, [2]string{"Send me the newsletter", "Send meg nyhetsbrevet"}},
			{"survey", false, [2]string{"Ask me what I think", "Spør meg om hva jeg mener"}},
		}
	}
	return nil
}

// boxesIn are the boxes of several scopes.
func boxesIn(scopes []string) []box {
	var out []box
	for _, sc := range scopes {
		out = append(out, boxesOf(sc)...)
	}
	return out
}

// answers are what a person ticked, which the merchant gets once.
type answers struct {
	scopes []string // those of the two that the person was asked about
	ticked map[string]bool
	norsk  bool
	time   time.Time
}

// newAnswers are the answers to what lacks, or nil where nothing of it has boxes. ticked says which are ticked, by id.
func newAnswers(lack []string, ticked func(b box) bool, norsk bool, now time.Time) *answers {
	a := &answers{ticked: make(map[string]bool), norsk: norsk, time: now}
	for _, sc := range lack {
		if boxesOf(sc) != nil {
			a.scopes = append(a.scopes, sc)
		}
	}
	if a.scopes == nil {
		return nil
	}
	for _, b := range boxesIn(a.scopes) {
		a.ticked[b.id] = ticked(b)
	}
	return a
}

// complete says whether all is ticked without which a person can't go on.
func (a *answers) complete() bool {
	return a == nil || !slices.ContainsFunc(boxesIn(a.scopes), func(b box) bool { return b.required && !a.ticked[b.id] })
}

// ticksByItself is what is ticked where nobody clicks: see Control.ConsentAnswers.
func (s *state) ticksByItself(b box) bool {
	return s.ticks == nil || b.required || slices.Contains(s.ticks, b.id)
}

// ticksOf says what is ticked on a form.
func ticksOf(form url.Values) func(b box) bool {
	return func(b box) bool { return form.Has("consent-" + b.id) }
}

// boxView is a box on a page.
type boxView struct {
	Name, Text string
	Required   bool
}

// boxViews are the boxes that lacking scopes bring, in the language of the page.
func boxViews(lack []string, t texts) []boxView {
	var out []boxView
	for _, b := range boxesIn(lack) {
		text := b.text[0]
		if t.Lang == "nb" {
			text = b.text[1]
		}
		out = append(out, boxView{Name: "consent-" + b.id, Text: text, Required: b.required})
	}
	return out
}

// addClaims puts the answers into userinfo. spaced spells a member with the space in front that one documented sample has.
func (a *answers) addClaims(c map[string]any, spaced bool) {
	for _, sc := range a.scopes {
		switch sc {
		case scopeDelegatedConsents:
			c["delegatedConsents"] = a.delegated(spaced)
		case scopeCustomFlow:
			c["flowResult"] = a.flowResult()
		}
	}
}

// say chooses the language.
func (a *answers) say(english, norwegian string) string {
	if a.norsk {
		return norwegian
	}
	return english
}

func (a *answers) text(b box) string { return a.say(b.text[0], b.text[1]) }

func (a *answers) delegated(spaced bool) map[string]any {
	list := []any{}
	for _, b := range boxesOf(scopeDelegatedConsents) {
		list = append(list, map[string]any{
			"id": b.id, "accepted": a.ticked[b.id], "required": b.required, "textDisplayedToUser": a.text(b),
		})
	}
	m := map[string]any{
		"language":                 a.say("EN", "NO"),
		"heading":                  a.say("Give consent", "Gi samtykke"),
		"confirmConsentButtonText": a.say("Confirm", "Bekreft"),
		"links": map[string]any{
			"termsLinkText": a.say("Terms", "Vilkår"), "termsLinkUrl": "https://example.com/terms",
			"privacyStatementLinkText": a.say("Privacy", "Personvern"), "privacyStatementLinkUrl": "https://example.com/privacy",
		},
		"timeOfConsent": a.stamp(),
		"consents":      list,
	}
	terms := a.say("You can take it back at any time.", "Du kan trekke det tilbake når som helst.")
	if spaced {
		m[" termsDescription"], m["text"] = terms, a.say("What may we send you?", "Hva kan vi sende deg?")
	} else {
		m["termsDescription"] = terms
	}
	return m
}

func (a *answers) flowResult() map[string]any {
	elements := []any{}
	for _, b := range boxesOf(scopeCustomFlow) {
		elements = append(elements, map[string]any{
			"type": "checkbox", "id": b.id, "title": a.text(b), "checked": a.ticked[b.id], "required": b.required,
			"readMore": map[string]any{"title": a.say("More", "Mer"), "description": a.say("Nothing more, really.", "Ikke noe mer, egentlig.")},
		})
	}
	return map[string]any{
		"language": a.say("EN", "NO"),
		"screens": []any{map[string]any{
			"title": a.say("Join the club", "Bli med i klubben"), "description": a.say("It costs nothing.", "Det koster ingenting."),
			"terms":    map[string]any{"links": []any{map[string]any{"title": a.say("Terms", "Vilkår"), "url": "https://example.com/club"}}},
			"elements": elements,
		}},
		"timeOfConsent": a.stamp(),
	}
}

// stamp is the time of the answers as the documents write it.
func (a *answers) stamp() string { return a.time.UTC().Format(time.RFC3339) }

// ConsentAnswers says which boxes of delegatedConsents and customFlow are ticked where nobody clicks: with AutoApprove,
// MerchantApprove and MerchantAuto. Nil is all of them. Those that are required always are.
func (c *Control) ConsentAnswers(ticked []string) error {
	all := boxesIn([]string{scopeDelegatedConsents, scopeCustomFlow})
	for _, id := range ticked {
		if !slices.ContainsFunc(all, func(b box) bool { return b.id == id }) {
			return fmt.Errorf("emulator: there is no box %q", printable(id))
		}
	}
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	c.e.state.ticks = slices.Clone(ticked)
	return nil
}

// ConsentsEveryTime makes delegatedConsents and customFlow ask, and answer, at every login, as older documents say. At first they do
// so once for each person and client.
func (c *Control) ConsentsEveryTime(on bool) {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	c.e.state.everyTime = on
}
