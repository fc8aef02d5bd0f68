package vipps

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Causes returns what an operator should look at, likeliest first, in plain
// English with the cure. It is empty when the error is a visitor's own doing,
// such as a login that they cancelled, or when nothing is known about it.
//
// Settings are named as ConfigError names them, like client_auth for Config.ClientAuth; public_url is the origin of LoginRequest.RedirectURI.
// "The portal" is https://portal.vippsmobilepay.com.
//
// See https://developer.vippsmobilepay.com/docs/APIs/login-api/login-api-faq/.
func (e *Error) Causes() []string {
	var causes []string
	d := strings.ToLower(e.Description)
	if strings.Contains(d, "sales unit") && strings.Contains(d, "active") {
		causes = append(causes, "The sales unit is not active, or its company is no longer registered: see it in the portal, portal.vippsmobilepay.com, or ask Vipps MobilePay.")
	}
	if e.Stage != StageQR { // anyone can send such a callback
		causes = append(causes, e.codeCauses()...)
	}
	if len(causes) == 0 {
		causes = e.statusCauses()
	}
	if late := e.dateCause(); late != "" {
		causes = append(causes, late)
	}
	return causes
}

func (e *Error) codeCauses() []string {
	if causes := e.merchantCauses(); causes != nil {
		return causes
	}
	if causes := e.backchannelCauses(); causes != nil {
		return causes
	}
	if causes := e.grantCauses(); causes != nil {
		return causes
	}
	switch e.Code {
	case "invalid_client":
		return e.invalidClient()
	case "invalid_grant":
		return []string{
			"The code was used before, or more than a couple of minutes passed: the visitor reloaded the callback, or another instance finished this login. Starting again cures it.",
			"The redirect URI in the token request differs from the one in the authorize request: check public_url, and that every instance has the same.",
			"The code was issued to another client_id, or in the other environment.",
		}
	case "invalid_scope":
		return []string{"A scope in scopes is not available to this sales unit: compare with the portal (nin, accountNumbers and some others need an agreement), and take it out until it is."}
	case "invalid_request":
		return []string{
			"The redirect URI is not registered for this sales unit and environment: it must be in the portal byte for byte, with capitals, port and final slash.",
			"A parameter is missing or malformed; the description says which.",
		}
	case "unauthorized_client", "unsupported_response_type", "unsupported_grant_type":
		return []string{"The client may not use the authorization code flow: turn on Login for the sales unit in the portal."}
	case "invalid_app_callback_uri":
		return []string{"app_callback_uri has not the form that Vipps MobilePay wants: https, or a scheme of the app's own with something behind it, as myapp://callback."}
	case "app_callback_uri_not_registered":
		return []string{"The redirect URI, or app_callback_uri, is not registered for this sales unit and environment: add it in the portal."}
	case "invalid_state", "insufficient_entropy":
		return []string{"The provider takes state or nonce for too short: something between here and the browser cuts the address that leads to the provider."}
	case CodeIssuerMismatch:
		return []string{
			fmt.Sprintf("The issuer that is set, %q, is not the one that the provider names. They are compared byte for byte: look for a missing or an extra slash at the end.", e.hint.issuer),
			"The answer came from another provider or environment: look at issuer or environment, and at what the host name resolves to.",
		}
	case CodeMissingIssuer:
		return []string{"Something between the browser and here drops the query parameter iss, or the callback did not come from the provider."}
	case CodeNonce, CodeAccessTokenHash, CodeSubjectMismatch:
		return []string{"The tokens do not belong to this login: a proxy in front of the provider may cache answers, or someone tampered with the callback. If it happens again, tell the provider."}
	case CodeMerchant:
		if e.hint.noMSN {
			return []string{"The ID token has no msn, so that nothing says for which merchant it is. Vipps MobilePay documents msn for logins in a browser only: ask them about partner keys in this flow."}
		}
		return []string{"The ID token is for another sales unit: compare msn with the portal."}
	case CodeAudience:
		return []string{"The ID token is for another client: compare client_id with the portal."}
	case CodeUnknownKey, CodeSignature:
		return []string{
			"The ID token was signed with a key that is not in the provider's key set: issuer and token endpoint may belong to different environments.",
			"The provider has just changed its keys, and they are fetched at most every 30 seconds: the next login works.",
		}
	case CodeAlgorithm:
		return []string{"The provider signs ID tokens with an algorithm other than RS256 and ES256: set one of them for this client at the provider."}
	case CodeMissingIDToken:
		return []string{"The provider sent no ID token: the client is not set up for OpenID Connect, or the scope openid was dropped."}
	case CodeACR:
		return []string{"The provider did not confirm the authentication that acr_values asks for: at Vipps MobilePay it is part of the advanced plan only."}
	case CodeExpired, CodeIssuedInFuture, CodeTooOld:
		return e.clockCauses()
	}
	return e.networkCauses()
}

func (e *Error) invalidClient() []string {
	causes := []string{
		"client_id or client_secret is wrong, or they belong to the other environment: test and production have their own.",
	}
	switch e.hint.auth {
	case ClientAuthPartner:
		return []string{
			"msn is not that of a merchant whose sales unit these partner keys may log people in for, or it belongs to the other environment: partner keys work in production only.",
			"The merchant's sales unit must be set to client_secret_basic in the portal, and have Login turned on.",
		}
	case ClientAuthPost:
		causes = append(causes, "client_auth is post, but the portal says client_secret_basic for this sales unit: set one as the other.")
	default:
		causes = append(causes, "client_auth is "+string(e.hint.auth)+", but the portal says client_secret_post for this sales unit: set one as the other.")
	}
	if e.hint.encodes && e.hint.auth == ClientAuthBasic {
		causes = append(causes, "client_id or client_secret has characters that form-encoding changes, and the provider may not decode them: try client_auth basic-raw.")
	}
	if e.hint.encodes && e.hint.auth == ClientAuthBasicRaw {
		causes = append(causes, "client_id or client_secret has characters that form-encoding changes, and the provider may expect them encoded: try client_auth basic.")
	}
	return append(causes, "Login is not turned on for the sales unit, or it has no redirect URI registered: see the portal, portal.vippsmobilepay.com.")
}

func (e *Error) clockCauses() []string {
	seconds := int(e.hint.off.Round(time.Second) / time.Second)
	switch e.Code {
	case CodeIssuedInFuture:
		return []string{fmt.Sprintf("This machine's clock is behind: by it the ID token is from %d seconds in the future. Synchronise the clock (NTP).", seconds)}
	case CodeExpired:
		return []string{fmt.Sprintf("This machine's clock is ahead: by it the ID token expired %d seconds ago, though it has just been issued. Synchronise the clock (NTP).", seconds)}
	}
	return []string{fmt.Sprintf("This machine's clock is ahead, or the provider hands out old tokens: by it the ID token is %d seconds old. Synchronise the clock (NTP).", seconds)}
}

// nothingListens reports whether the provider was to be at a loopback address, and is not. A proxy there is another matter.
func (e *Error) nothingListens() bool {
	dial, ok := errors.AsType[*net.OpError](e.Err)
	if !ok || dial.Op != "dial" {
		return false
	}
	addr, ok := dial.Addr.(*net.TCPAddr)
	return ok && addr.IP.IsLoopback()
}

func (e *Error) networkCauses() []string {
	switch e.Code {
	case CodeUnreachable:
		if e.nothingListens() {
			return []string{"Nothing listens at this address of this machine: if the emulator is meant, start it (vippsauth emulator, or vippsauth serve with environment emulator); else correct issuer."}
		}
		return []string{"The provider cannot be reached from here: look at DNS, the firewall (allow host names, not addresses) and HTTPS_PROXY; see also status.vippsmobilepay.com."}
	case CodeTimeout:
		return []string{"The provider did not answer in time: look at the firewall and HTTPS_PROXY, and at status.vippsmobilepay.com."}
	case CodeTLS:
		return []string{
			"The provider's certificate was not accepted: something intercepts TLS on the way, the CA certificates here are missing or old (in an image: /etc/ssl/certs), or this machine's clock is wrong.",
		}
	case CodeInvalidMetadata, CodeRedirect, CodeInvalidKeys:
		return []string{"The answer is not that of an OpenID provider: check issuer, and whether a captive portal or a proxy answers in its place."}
	case "temporarily_unavailable", "server_error":
		return []string{"The provider has a problem of its own: see status.vippsmobilepay.com."}
	}
	return nil
}

func (e *Error) statusCauses() []string {
	switch {
	case e.Status == http.StatusTooManyRequests:
		return []string{"The provider asks to slow down: too many calls in a short time."}
	case e.Status >= 500:
		return []string{"The provider has a problem of its own: see status.vippsmobilepay.com."}
	case e.Status == http.StatusNotFound && e.Stage == StageDiscovery:
		return []string{"There is no OpenID provider at this issuer: check issuer."}
	case e.Status == http.StatusUnauthorized && slices.Contains([]Stage{StageToken, StageBackchannel, StageUserExists}, e.Stage):
		return e.invalidClient()
	case e.Stage == StageUserinfo && (e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden):
		return e.userinfoCauses()
	}
	return nil
}

func (e *Error) userinfoCauses() []string {
	if e.hint.keyed {
		return []string{"The provider refuses a subscription key at userinfo, as newer documents of Vipps MobilePay say: turn userinfo_subscription_key off."}
	}
	return []string{
		"The provider refused the access token that it has just issued: a proxy on the way may drop the Authorization header or add a subscription key.",
		"The provider may want the subscription key at userinfo, as older documents of Vipps MobilePay say: if nothing else helps, set subscription_key and userinfo_subscription_key.",
	}
}

// dateCause speaks up when the provider's Date header shows a wrong clock.
func (e *Error) dateCause() string {
	if !e.hint.haveSkew || e.hint.skew.Abs() < 30*time.Second {
		return ""
	}
	word := "behind"
	if e.hint.skew < 0 {
		word = "ahead of"
	}
	return fmt.Sprintf("By the Date header of its answer, this machine's clock is %d seconds %s the provider's.",
		int(e.hint.skew.Abs().Round(time.Second)/time.Second), word)
}
