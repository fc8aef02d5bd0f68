package vipps

import (
	"fmt"
	"io"
	"log/slog"
)

// What holds something of a person, or a secret, prints as less than that, whatever prints it: fmt with any verb, log/slog, and zap.

// String names issuer and client id.
func (c *Client) String() string { return fmt.Sprintf("client %q of %q", c.cfg.ClientID, c.cfg.Issuer) }

// Format writes String for every verb.
func (c *Client) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// LogValue is String.
func (c *Client) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Format writes String for every verb.
func (u User) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, u.String()) }

// Format writes String for every verb.
func (p PendingLogin) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, p.String()) }

// String hides who logged in.
func (l Login) String() string { return "login of " + l.User.String() }

// Format writes String for every verb.
func (l Login) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, l.String()) }

// LogValue is String.
func (l Login) LogValue() slog.Value { return slog.StringValue(l.String()) }

// String hides everything.
func (a Address) String() string { return "address " + redacted }

// Format writes String for every verb.
func (a Address) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, a.String()) }

// LogValue is String.
func (a Address) LogValue() slog.Value { return slog.StringValue(a.String()) }

// String hides everything.
func (a Account) String() string { return "account " + redacted }

// Format writes String for every verb.
func (a Account) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, a.String()) }

// LogValue is String.
func (a Account) LogValue() slog.Value { return slog.StringValue(a.String()) }

// String hides what becomes of state.
func (r LoginRequest) String() string { return fmt.Sprintf("login request, silent %t", r.Silent) }

// Format writes String for every verb.
func (r LoginRequest) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, r.String()) }

// LogValue is String.
func (r LoginRequest) LogValue() slog.Value { return slog.StringValue(r.String()) }

// String names the error only.
func (c Callback) String() string { return fmt.Sprintf("callback, error %q", c.Error) }

// Format writes String for every verb.
func (c Callback) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// LogValue is String.
func (c Callback) LogValue() slog.Value { return slog.StringValue(c.String()) }

// String names the issuer only.
func (p PendingMerchantLogin) String() string {
	return fmt.Sprintf("pending merchant login with %q", p.Issuer)
}

// GoString is String.
func (p PendingMerchantLogin) GoString() string { return p.String() }

// Format writes String for every verb.
func (p PendingMerchantLogin) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, p.String()) }

// LogValue is String.
func (p PendingMerchantLogin) LogValue() slog.Value { return slog.StringValue(p.String()) }

// String hides whose login it is to be.
func (r MerchantLoginRequest) String() string {
	return fmt.Sprintf("merchant login request, in a browser %t", r.RedirectURI != "")
}

// GoString is String.
func (r MerchantLoginRequest) GoString() string { return r.String() }

// Format writes String for every verb.
func (r MerchantLoginRequest) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, r.String()) }

// LogValue is String.
func (r MerchantLoginRequest) LogValue() slog.Value { return slog.StringValue(r.String()) }

// String names the host that it verifies for.
func (v *WebhookVerifier) String() string { return fmt.Sprintf("webhooks for %q", v.host) }

// Format writes String for every verb.
func (v *WebhookVerifier) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, v.String()) }

// LogValue is String.
func (v *WebhookVerifier) LogValue() slog.Value { return slog.StringValue(v.String()) }

// String hides the body.
func (d WebhookDelivery) String() string { return fmt.Sprintf("webhook delivery, fresh %t", d.Fresh) }

// Format writes String for every verb.
func (d WebhookDelivery) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, d.String()) }

// LogValue is String.
func (d WebhookDelivery) LogValue() slog.Value { return slog.StringValue(d.String()) }

// String hides whose consent it was.
func (c ConsentRevoked) String() string { return "consent revoked " + redacted }

// Format writes String for every verb.
func (c ConsentRevoked) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// LogValue is String.
func (c ConsentRevoked) LogValue() slog.Value { return slog.StringValue(c.String()) }
