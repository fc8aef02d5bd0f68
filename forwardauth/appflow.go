package forwardauth

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/vippsauth/vippsauth/vipps"
)

// checkAppFlow says what is wrong with the settings of logins that come back from an app.
func (c *Config) checkAppFlow() []error {
	var errs []error
	bad := func(setting, format string, args ...any) {
		errs = append(errs, &vipps.ConfigError{Setting: setting, Reason: fmt.Sprintf(format, args...)})
	}
	flows := []string{AppFlowOff, AppFlowAutomaticReturn, AppFlowAppToApp, AppFlowAppToAppV2}
	switch {
	case !slices.Contains(flows, c.AppFlow):
		bad("app_flow", "must be one of %s", strings.Join(flows, ", "))
	case c.AppFlow == AppFlowAppToApp && c.AppCallbackURI == "":
		bad("app_callback_uri", "is missing: app_flow app-to-app opens it in the app")
	case c.AppFlow != AppFlowAppToApp && c.AppCallbackURI != "":
		bad("app_callback_uri", "is for app_flow app-to-app only")
	case c.AppCallbackURI != "" && !opensApp(c.AppCallbackURI):
		bad("app_callback_uri", "must be https, or have a scheme of the app's own with something behind it, such as myapp://callback")
	}
	if c.FinalRedirectIsApp && c.AppFlow == AppFlowOff {
		bad("final_redirect_is_app", "is for a login with app_flow: set it, or leave this out")
	}
	return errs
}

// opensApp reports whether an address can open an app. What the provider takes of it, the client checks.
func opensApp(uri string) bool {
	u, err := url.Parse(uri)
	if err != nil || len(uri) > 2048 || u.User != nil || strings.ContainsAny(uri, ` "<>\^{|}#`+"`") || hasControl(uri) {
		return false
	}
	switch u.Scheme {
	case "", "http", "javascript", "data", "file", "vbscript", "blob", "about":
		return false
	case "https":
		return u.Host != ""
	}
	return u.Opaque == "" && (u.Host != "" || len(u.Path) > 1)
}

// addAppFlow says in a login how it is to come back from the app. A silent one opens none.
func (c *Config) addAppFlow(r *vipps.LoginRequest) {
	if r.Silent || c.AppFlow == AppFlowOff {
		return
	}
	r.AppCallbackURI, r.FinalRedirectIsApp = c.AppCallbackURI, c.FinalRedirectIsApp
	switch c.AppFlow {
	case AppFlowAutomaticReturn:
		r.Flow = vipps.FlowAutomaticReturn
	case AppFlowAppToApp:
		r.Flow = vipps.FlowAppToApp
	case AppFlowAppToAppV2:
		r.Flow = vipps.FlowAppToAppV2
	}
}

// elsewherePage tells a person whom the app has brought to another browser than the login began in, and offers to begin
// again here. The code that came along belongs to the other one, and is never used: whoever has such an address could put
// it into anybody's browser.
func (e *Engine) elsewherePage(w http.ResponseWriter, r *http.Request, s *site, res result) {
	now := e.now()
	if op, _ := e.session(s, r.Header, now); op != nil {
		e.loginDone(w, r, s, op, res.ReturnTo, now)
		return
	}
	e.page(w, r, s, page{Kind: pageElsewhere, ReturnTo: res.ReturnTo})
}
