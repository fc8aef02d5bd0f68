package emulator

import (
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Values of requested_flow at authorize.
const (
	flowNoDialog        = "no_dialog"
	flowAppToApp        = "app_to_app"
	flowAppToAppV2      = "app_to_app_v2"
	flowAutomaticReturn = "automatic_return_from_vipps_app"
)

// BreakAppCallback prints the error for an app as the documents do, with a second question mark.
const BreakAppCallback = "malformed-app-callback"

// checkFlow checks what says how a login goes on outside of the browser, and how its pages look.
func checkFlow(req *request, client *Client, q url.Values) *authError {
	switch flow := q.Get("requested_flow"); flow {
	case flowNoDialog:
		req.silent = true
	case "", flowAppToApp, flowAutomaticReturn:
		req.flow = flow
	case flowAppToAppV2:
		if req.challenge == "" {
			return badRequest("The requested_flow '%s' needs a code_challenge.", flow)
		}
		req.flow = flow
	default:
		return badRequest("The emulator does not model requested_flow '%s'.", printable(flow))
	}
	if bad := checkApp(req, client, q); bad != nil {
		return bad
	}
	switch req.market = q.Get("market"); req.market {
	case "", "NO", "DK", "FI", "SE":
	default:
		return badRequest("The parameter 'market' must be NO, DK, FI or SE.")
	}
	if acr := q.Get("acr_values"); acr != "" && client.Advanced {
		if acr != ACRAppAuth {
			return badRequest("The emulator models only the acr_values '%s'.", ACRAppAuth)
		}
		req.acr = acr
	}
	return nil
}

// checkApp checks the parameters of apps. The errors of app_callback_uri have codes of their own.
func checkApp(req *request, client *Client, q url.Values) *authError {
	switch q.Get("final_redirect_is_app") {
	case "", "true", "false":
	default:
		return badRequest("The parameter 'final_redirect_is_app' must be true or false.")
	}
	uri := q.Get("app_callback_uri")
	switch {
	case req.flow != flowAppToApp && q.Has("app_callback_uri"):
		return badRequest("The parameter 'app_callback_uri' needs the requested_flow '%s'.", flowAppToApp)
	case req.flow != flowAppToApp:
		return nil
	case !q.Has("app_callback_uri"):
		return badRequest("The requested_flow '%s' needs an app_callback_uri.", flowAppToApp)
	case !validURI(uri):
		return &authError{"invalid_app_callback_uri", describe("invalid_app_callback_uri")}
	case !client.registered(uri):
		return &authError{"app_callback_uri_not_registered", describe("app_callback_uri_not_registered")}
	}
	req.appCallback = uri
	return nil
}

// registered says whether a URI is one that the client may send people to.
func (c *Client) registered(uri string) bool {
	return slices.Contains(c.RedirectURIs, uri) || slices.Contains(c.AppURIs, uri)
}

// validURI says whether a URI has the shape that Vipps wants: a web address, or an app's scheme with something behind it.
func validURI(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && u.Scheme != "" && u.Opaque == "" && (u.Host != "" || len(u.Path) > 1) && u.User == nil && !strings.Contains(raw, "#")
}

// notApps are schemes that don't lead to an app of the phone, but into the network or to a script.
var notApps = [...]string{
	"about", "afp", "android-app", "blob", "chrome", "content", "data", "file", "filesystem", "ftp", "ftps", "git", "gopher", "http", "https",
	"imap", "intent", "irc", "javascript", "ldap", "ldaps", "mailto", "nfs", "rtsp", "sftp", "sms", "smb", "ssh", "svn", "tel", "telnet",
	"view-source", "vbscript", "ws", "wss",
}

// checkAppURI refuses what isn't an app's: a scheme of its own, and something behind it.
func checkAppURI(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case !validURI(raw):
		return errors.New("app URI: must be as myapp://callback, without a fragment or a user")
	case err != nil || slices.Contains(notApps[:], strings.ToLower(u.Scheme)):
		return fmt.Errorf("app URI: %s is no app's scheme", u.Scheme)
	}
	return nil
}

// replaceMSN writes the client id into a query where the merchant serial number is, and leaves the rest as it is.
func replaceMSN(rawQuery, clientID string) string {
	pairs := strings.Split(rawQuery, "&")
	for i, pair := range pairs {
		if name, _, _ := strings.Cut(pair, "="); name == "msn" {
			pairs[i] = "client_id=" + url.QueryEscape(clientID)
		}
	}
	return strings.Join(pairs, "&")
}

// redirectMSN answers the authorize request of a partner, which names a sales unit by its number, with the same one by its client id.
func (e *Emulator) redirectMSN(w http.ResponseWriter, r *http.Request, q url.Values) {
	client, why := e.clientByMSN(q.Get("msn"))
	switch {
	case why != "":
		e.errorPage(w, r, http.StatusBadRequest, "invalid_client", why)
		return
	case q.Has("client_id") || len(q["msn"]) != 1 || strings.ContainsFunc(r.URL.RawQuery, func(c rune) bool { return c <= ' ' || c > '~' }):
		e.errorPage(w, r, http.StatusBadRequest, "invalid_request", descBadRequest)
		return
	}
	redirect(w, e.BaseURL()+pathAuthorize+"?"+replaceMSN(r.URL.RawQuery, client.ID))
}

// toApp opens the merchant's app: on the way, the login goes on when the app opens resume_uri in the browser.
func (e *Emulator) toApp(w http.ResponseWriter, r *http.Request, a *attempt) {
	resume := e.BaseURL() + pathPages + "index.html?tabId=" + a.id
	openApp(w, r, join(a.req.appCallback, "state="+url.QueryEscape(a.req.state)+"&resume_uri="+url.QueryEscape(resume)), resume)
}

// openApp sends the browser to the app's address. A person's browser gets a page instead, unless something on this machine has the
// address: most often nothing takes it there, and the browser would stay where it is without a word.
func openApp(w http.ResponseWriter, r *http.Request, app, resume string) {
	u, err := url.Parse(app)
	if err != nil || r.Header.Get("Sec-Fetch-Mode") != "navigate" || (u.Scheme == "http" || u.Scheme == "https") && loopbackName(u.Hostname()) {
		redirect(w, app)
		return
	}
	t := textsFor(r.Header.Get("Accept-Language"))
	render(w, http.StatusOK, "app.html", view{
		T: t, Title: t.AppTitle, Back: resume,
		App: template.URL(app), //nolint:gosec // registered as an app's, never a script's: checkAppURI, or a redirect URI
	})
}

// appError opens the merchant's app with an error that happened in Vipps' app. The browser hears nothing.
func (e *Emulator) appError(w http.ResponseWriter, r *http.Request, req *request, code string) {
	sep := "&"
	if e.take(BreakAppCallback) {
		sep = "?"
	}
	openApp(w, r, join(req.appCallback, "state="+url.QueryEscape(req.state)+sep+"error="+url.QueryEscape(code)), "")
}

// refuseInApp tells of an error that happened on the phone: to the app, in the flow that has one, else to the browser.
func (e *Emulator) refuseInApp(w http.ResponseWriter, r *http.Request, req *request, code string) {
	if req.flow == flowAppToApp {
		e.appError(w, r, req, code)
		return
	}
	e.redirectError(w, r, req, code, describe(code))
}

// approvedInApp is AutoApprove in the flow that opens the merchant's app: the login waits for its resume_uri.
func (e *Emulator) approvedInApp(w http.ResponseWriter, r *http.Request, req *request, bid, personID string) {
	a := e.newAttempt(req, bid, stepResume, personID)
	e.toApp(w, r, a)
}

// stepResumed goes on in the browser, after the merchant's app has opened resume_uri there.
func (e *Emulator) stepResumed(w http.ResponseWriter, r *http.Request, a *attempt) {
	e.mu.Lock()
	lack := e.state.lacking(&a.req, a.person)
	if live, ok := e.state.attempts.get(a.id); ok && len(lack) > 0 {
		live.step, a.step = stepConsent, stepConsent
	}
	e.mu.Unlock()
	if len(lack) > 0 {
		e.showAttempt(w, r, a)
		return
	}
	e.finish(w, r, a)
}

// stepReturned is the end of a login whose phone opens a browser, and not always the one that the login began in: the page shows the
// address that it would open, to follow it here or to paste it elsewhere.
func (e *Emulator) stepReturned(w http.ResponseWriter, a *attempt) {
	e.mu.Lock()
	live, ok := e.state.attempts.get(a.id)
	first, code := ok && live.step != stepReturn, ""
	if first {
		live.step, code = stepReturn, e.state.issue(&a.req, a.person, a.authTime, e.nowLocked())
	}
	e.mu.Unlock()
	if first {
		back := e.backURL(&a.req, e.codeParameters(code))
		e.mu.Lock()
		live.back = back
		e.mu.Unlock()
	}
	show(w, a)
}

// brand is the name that Vipps MobilePay has in a market.
func brand(market string) string {
	switch market {
	case "NO", "SE":
		return "Vipps"
	case "DK", "FI":
		return "MobilePay"
	}
	return ""
}
