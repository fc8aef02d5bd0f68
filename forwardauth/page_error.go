package forwardauth

// pageFault says what an error code means for the person in front of it.
type pageFault int

const (
	pageFaultRetry  pageFault = iota + 1 // it may well work the next time
	pageFaultPerson                      // the person's own answer, or one that only they can give: no alarm, just the button
	pageFaultSite                        // the site's fault, which may pass or not
	pageFaultSetup                       // the site is set up wrong: nothing the person can mend
)

// Codes of our own, besides those that come back from the provider.
const (
	pageCodeLostState       = "lost_state"       // no cookie for a well-formed state
	pageCodeBadCallback     = "bad_callback"     // an answer that is not one: state missing, doubled, mismatched
	pageCodeUsedState       = "used_state"       // a login that has had its answer already
	pageCodeProviderRefused = "provider_refused" // the provider turned us down at its token endpoint, or sent what fails a check
	pageCodeACR             = "acr"              // the provider did not confirm what a policy, or acr_values, asks for
	pageCodeClock           = "clock"            // token times far from our clock
	pageCodeNotWaiting      = "not_waiting"      // a login that began elsewhere, and that nobody here waits for
	pageCodeBadForm         = "bad_form"         // a form that another site sent, or one with no valid token
	pageCodeInternal        = "internal"
)

// pageFaults are the codes with words of their own: what the provider sends as error= (RFC 6749 section 4.1.2.1,
// OpenID Connect Core section 3.1.2.6, and Vipps' own), and ours. Any other code gets a general text, and none is
// ever shown itself.
var pageFaults = map[string]pageFault{
	"access_denied":        pageFaultPerson,
	"login_required":       pageFaultPerson,
	"interaction_required": pageFaultPerson,
	"consent_required":     pageFaultPerson,
	"outdated_app_version": pageFaultRetry,
	"wrong_challenge":      pageFaultRetry,

	"server_error":            pageFaultRetry,
	"temporarily_unavailable": pageFaultRetry,
	"unknown_reject_reason":   pageFaultRetry,
	"unknown_error":           pageFaultRetry,

	"invalid_request":                 pageFaultSetup,
	"unauthorized_client":             pageFaultSetup,
	"unsupported_response_type":       pageFaultSetup,
	"invalid_scope":                   pageFaultSetup,
	"invalid_state":                   pageFaultSetup,
	"invalid_app_callback_uri":        pageFaultSetup,
	"app_callback_uri_not_registered": pageFaultSetup,

	pageCodeLostState:       pageFaultRetry,
	pageCodeBadCallback:     pageFaultRetry,
	pageCodeUsedState:       pageFaultRetry,
	pageCodeNotWaiting:      pageFaultPerson,
	pageCodeBadForm:         pageFaultRetry,
	pageCodeProviderRefused: pageFaultSite,
	pageCodeACR:             pageFaultSite,
	pageCodeClock:           pageFaultSite,
	pageCodeInternal:        pageFaultSite,
}

func (b *pageBuilder) buildError() {
	code := b.page.Code
	fault, known := pageFaults[code]
	if !known {
		code, fault = "other", pageFaultRetry
	}
	if fault == pageFaultSetup {
		b.heading("error.setup.title")
	} else {
		b.heading("error." + code + ".title")
	}
	b.say("error." + code + ".text")
	switch fault {
	case pageFaultPerson:
		b.login("button.login", "brand")
	case pageFaultSite:
		b.sayReport("error.site.report", "error.site.tell")
		if code == pageCodeACR {
			b.operator("error.acr.operator")
		}
		b.login("button.retry", "brand")
	case pageFaultSetup:
		// Trying again is offered, quietly: the fault may have been mended since.
		b.sayReport("error.setup.report", "error.setup.tell")
		b.login("button.retry", "quiet")
	default:
		b.login("button.retry", "brand")
	}
	if code == pageCodeLostState {
		b.hint("hint.phone")
	}
}

// sayReport asks to tell whoever runs the site, with the reference where there is one.
func (b *pageBuilder) sayReport(withReference, without string) {
	if b.view.Reference == "" {
		withReference = without
	}
	b.say(withReference)
	b.operator("error.setup.operator")
}
