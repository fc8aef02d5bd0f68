package vipps

import (
	"cmp"
	"errors"
	"net/url"
	"strings"
)

// Values of LoginRequest.Flow.
const (
	// FlowAppToApp opens AppCallbackURI in the merchant's app when the person has confirmed; see ParseAppCallback. The
	// login then goes on in the browser, with consents, and ends at RedirectURI. Vipps calls it deprecated, or advanced.
	FlowAppToApp = "app_to_app"
	// FlowAppToAppV2 has the person consent in the Vipps app, which then opens RedirectURI, in the merchant's app. Vipps
	// demands PKCE for it, which BeginLogin always uses.
	FlowAppToAppV2 = "app_to_app_v2"
	// FlowAutomaticReturn has the phone open RedirectURI in a browser when the person has confirmed. It may be another browser
	// than the login began in, with no cookie of it: FinishLogin needs the PendingLogin of this very login, and a link alone must never
	// log anybody in.
	FlowAutomaticReturn = "automatic_return_from_vipps_app"
)

// maxAppURI bounds what is sent as app_callback_uri and taken as resume_uri.
const maxAppURI = 2048

// checkFlow checks what a login from an app adds to a request.
func (r LoginRequest) checkFlow() error {
	bad := func(setting, reason string) error { return &ConfigError{Setting: setting, Reason: reason} }
	switch r.Flow {
	case "", FlowAppToApp, FlowAppToAppV2, FlowAutomaticReturn:
	default:
		return bad("flow", "must be app_to_app, app_to_app_v2 or automatic_return_from_vipps_app")
	}
	if r.Silent && r.Flow != "" {
		return bad("flow", "a silent login has no other flow")
	}
	switch {
	case r.Flow == FlowAppToApp && r.AppCallbackURI == "":
		return bad("app_callback_uri", "is missing: app_to_app opens it in the app")
	case r.Flow != FlowAppToApp && r.AppCallbackURI != "":
		return bad("app_callback_uri", "is for app_to_app only")
	case r.AppCallbackURI != "":
		if err := checkAppURI(r.AppCallbackURI); err != nil {
			return bad("app_callback_uri", err.Error())
		}
	}
	if !isPrintable(r.ACRValues) || len(r.ACRValues) > maxACRValues {
		return bad("acr_values", "must be printable ASCII, at most 512 characters")
	}
	return nil
}

// endsInApp says whether RedirectURI is opened by an app, so that it may have a scheme of the app's own.
func (r LoginRequest) endsInApp() bool { return r.Flow == FlowAppToAppV2 || r.FinalRedirectIsApp }

// checkAppURI follows the rules of Vipps for URIs that open an app: https (universal links, app links), or a scheme of the app's own
// with something behind it, like myapp://callback.
func checkAppURI(uri string) error {
	u, err := url.Parse(uri)
	switch {
	case err != nil || len(uri) > maxAppURI || !isPrintable(uri) || strings.ContainsAny(uri, ` "<>\^{|}#`+"`"):
		return errors.New("must be a URI without a fragment, at most 2048 characters")
	case u.User != nil:
		return errors.New("must not hold a user name or a password")
	case u.Scheme == "https" && u.Host != "":
		return nil
	case !isAppScheme(u.Scheme):
		return errors.New("must be https, or have a scheme of the app's own")
	case u.Opaque != "" || u.Host == "" && len(u.Path) < len("/x"):
		return errors.New("must have a path behind its scheme, like myapp://callback")
	}
	return nil
}

// isAppScheme leaves out what browsers and phones open themselves.
func isAppScheme(scheme string) bool {
	switch scheme {
	case "", "http", "https", "ws", "wss", "ftp", "file", "javascript", "vbscript", "data", "blob", "about", "filesystem",
		"view-source", "intent", "android-app", "content", "mailto", "tel", "sms", "chrome":
		return false
	}
	return true
}

// ParseAppCallback reads the query of the URI that FlowAppToApp opens in the app: errorCode is what went wrong, and "" if the
// login goes on at resumeURI, which the app then opens in the browser that the login began in. errorCode matches [A-Za-z0-9_.-]{1,64}.
//
// Any app and any page can open that URI. So the caller must compare state with the login under way before it does anything. resumeURI is
// https, or http on loopback; on which host is not checked.
//
// Vipps documents an error as "?state=…?error=…", with a second question mark: that is understood too.
func ParseAppCallback(query url.Values) (state, resumeURI, errorCode string, err error) {
	fail := func(code, reason string) (string, string, string, error) {
		return "", "", "", &Error{Stage: StageAuthorize, Code: code, Err: errors.New(reason)}
	}
	values := make(map[string][]string, 4)
	for _, name := range []string{"state", "resume_uri", "error", "error_code"} {
		values[name] = append(values[name], query[name]...)
	}
	// No state of ours holds a question mark.
	if first := query.Get("state"); strings.Contains(first, "?") && len(first) <= maxAppURI {
		own, rest, _ := strings.Cut(first, "?")
		more, err := url.ParseQuery(rest)
		if err != nil {
			return fail(CodeInvalidCallback, "state is followed by something that is no query")
		}
		values["state"][0] = own
		for name := range values {
			values[name] = append(values[name], more[name]...)
		}
	}
	one := make(map[string]string, len(values))
	for name, all := range values {
		if len(all) > 1 {
			return fail(CodeDuplicateParameter, name+" stands twice")
		}
		one[name] = strings.Join(all, "")
	}
	switch {
	case len(one["state"]) > maxState || !isPrintable(one["state"]):
		return fail(CodeInvalidCallback, "state is too long or holds control characters")
	case one["state"] == "":
		return fail(CodeMissingState, "no state")
	case one["error"]+one["error_code"] != "":
		return one["state"], "", cleanCode(cmp.Or(one["error"], one["error_code"])), nil
	case checkResumeURI(one["resume_uri"]) != nil:
		return fail(CodeInvalidCallback, "neither an error nor a usable resume_uri")
	}
	return one["state"], one["resume_uri"], "", nil
}

func checkResumeURI(uri string) error {
	u, err := url.Parse(uri)
	if err != nil || len(uri) > maxAppURI || !isPrintable(uri) || u.Host == "" || u.User != nil ||
		u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		return errors.New("must be https, or http on loopback")
	}
	return nil
}
