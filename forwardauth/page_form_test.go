package forwardauth

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"
)

// pageFormOf is a form as the engine will receive it.
type pageFormOf struct {
	Action string
	Fields map[string]string
	Button string
}

func pageForms(t *testing.T, p page, lang string) []pageFormOf {
	t.Helper()
	var forms []pageFormOf
	pageNodes(t, pageBody(t, pageGet(t, p, http.MethodGet, lang)), func(node *html.Node) {
		switch node.Data {
		case "form":
			if pageAttr(node, "method") != "post" {
				t.Errorf("a form with method %q", pageAttr(node, "method"))
			}
			forms = append(forms, pageFormOf{Action: pageAttr(node, "action"), Fields: map[string]string{}})
		case "input":
			forms[len(forms)-1].Fields[pageAttr(node, "name")] = pageAttr(node, "value")
		case "button":
			forms[len(forms)-1].Button = pageNodeText(node)
		}
	})
	return forms
}

func TestPageForms(t *testing.T) {
	t.Parallel()
	const rd = "/bod/7?side=2&vis=alt#x"
	login := func(button string) []pageFormOf {
		return []pageFormOf{{"/_vipps/login", map[string]string{"rd": rd}, button}}
	}
	other := []pageFormOf{{"/_vipps/logout", map[string]string{"then": "login", "rd": rd}, "Logg inn som en annen"}}
	tests := []struct {
		name string
		page page
		want []pageFormOf
	}{
		{"login", page{Kind: pageLogin}, login("Logg inn med Vipps")},
		{"login in Denmark", page{Kind: pageLogin, Market: "DK"}, login("Logg inn med MobilePay")},
		{"confirm", page{Kind: pageConfirm, Person: "Kari N.", Token: "t/+="}, []pageFormOf{
			{"/_vipps/result", map[string]string{"token": "t/+=", "choice": "continue"}, "Fortsett som Kari N."},
			{"/_vipps/result", map[string]string{"token": "t/+=", "choice": "other"}, "Ikke meg"},
		}},
		{"cancelled", page{Kind: pageError, Code: "access_denied"}, login("Logg inn med Vipps")},
		{"lost", page{Kind: pageError, Code: pageCodeLostState}, login("Prøv igjen")},
		{"set up wrong", page{Kind: pageError, Code: "invalid_scope"}, login("Prøv igjen")},
		{"unknown code", page{Kind: pageError, Code: "novelty"}, login("Prøv igjen")},
		{"loop", page{Kind: pageLoop}, login("Prøv igjen")},
		{"logged out", page{Kind: pageLoggedOut}, login("Logg inn igjen")},
		{"refused", page{Kind: pageRefused}, other},
		{"already", page{Kind: pageAlready}, other},
		{"logout", page{Kind: pageLogout}, []pageFormOf{{"/_vipps/logout", map[string]string{"rd": rd}, "Logg ut"}}},
		{"unavailable", page{Kind: pageUnavailable}, nil},
		{"resend", page{Kind: pageResend}, nil},
		{"kept", page{Kind: pageKept, Fields: []pageField{{"submit", "1"}, {"navn", "Åse \"<b>\" & 'co'\r\n\tlinje"}}}, []pageFormOf{
			{rd, map[string]string{"submit": "1", "navn": "Åse \"<b>\" & 'co'\n\tlinje"}, "Send på nytt"},
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.page.ReturnTo = rd
			if diff := cmp.Diff(test.want, pageForms(t, test.page, "nb")); diff != "" {
				t.Errorf("forms (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPageFormsOfOwnActions(t *testing.T) {
	t.Parallel()
	p := page{LoginAction: "/a/login", LogoutAction: "/a/logout", ResultAction: "/a/result"}
	for kind, want := range map[pageKind]string{pageLogin: "/a/login", pageLogout: "/a/logout", pageConfirm: "/a/result"} {
		p.Kind = kind
		for _, form := range pageForms(t, p, "en") {
			if form.Action != want {
				t.Errorf("%s: action = %q, want %q", kind, form.Action, want)
			}
		}
	}
	p.Kind = pageLogout
	if fields := pageForms(t, p, "en")[0].Fields; len(fields) != 0 {
		t.Errorf("a logout that wasn't asked to return carries %v", fields)
	}
}

func TestPageLinks(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		page page
		want []string
	}{
		{"resend", page{Kind: pageResend, LoginURL: "https://app.example/_vipps/login?rd=%2Fa"}, []string{"https://app.example/_vipps/login?rd=%2Fa"}},
		{"kept", page{Kind: pageKept, LoginURL: "/_vipps/login?rd=%2Fa", ReturnTo: "/order?a=1&b=2"}, []string{"/_vipps/login?rd=%2Fa", "/order?a=1&b=2"}},
		{"kept for elsewhere", page{Kind: pageKept, ReturnTo: "//evil.example"}, []string{"/_vipps/login", "/"}},
		{"resend without URL", page{Kind: pageResend}, []string{"/_vipps/login"}},
		{"unavailable", page{Kind: pageUnavailable, ReturnTo: "/a?b=1&c=2"}, []string{"/a?b=1&c=2"}},
		{"unavailable elsewhere", page{Kind: pageUnavailable, ReturnTo: "//evil.example"}, []string{"/"}},
		{"already", page{Kind: pageAlready, ReturnTo: "/a"}, []string{"/a", "/_vipps/logout"}},
		{"logout", page{Kind: pageLogout, ReturnTo: "/a"}, []string{"/_vipps/logout", "/a"}},
		{"not found", page{Kind: pageNotFound, ReturnTo: "/a"}, []string{"/"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, pageShape(t, test.page).links); diff != "" {
				t.Errorf("links (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPageContact(t *testing.T) {
	t.Parallel()
	tests := []struct{ contact, reference, link string }{
		{"styret@havnehagen.example", "K7QF-2M9P", "mailto:styret@havnehagen.example?subject=K7QF-2M9P"},
		{"styret@havnehagen.example", "", "mailto:styret@havnehagen.example"},
		{"https://havnehagen.example/hjelp?a=1", "K", "https://havnehagen.example/hjelp?a=1"},
		{"+47 22 33 44 55", "K", "tel:+4722334455"},
		{"22 33 44 55", "K", "tel:22334455"},
		{"02800", "", "tel:02800"},
		{"http://havnehagen.example", "", ""},
		{"https://", "", ""},
		{"https://user@havnehagen.example", "", ""},
		{"javascript:alert(1)", "", ""},
		{"Kari i tredje etasje", "", ""},
		{"Kari, 22 33 44 55", "", ""},
		{"Kari <styret@havnehagen.example>", "", ""},
		{"a@b.example?cc=c@d.example", "", ""},
		{"112", "", ""},
		{"", "K", ""},
	}
	for _, test := range tests {
		got := parsePageContact(test.contact, test.reference)
		if want := (pageContact{Text: test.contact}); got.Text != want.Text || string(got.Link) != test.link {
			t.Errorf("%q: got %+v, want link %q", test.contact, got, test.link)
		}
	}
}
