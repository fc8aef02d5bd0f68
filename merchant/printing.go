package merchant

import (
	"fmt"
	"io"
	"log/slog"
)

// What holds something of a person, or a secret, prints as less than that, whatever prints it: fmt with any verb, log/slog, and zap.

// String names issuer and client.
func (c Config) String() string {
	if c.Client == nil {
		return "merchant logins"
	}
	return "merchant logins of " + c.Client.String()
}

// Format writes String for every verb.
func (c Config) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// LogValue is String.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// String says where it ends.
func (r Request) String() string {
	return fmt.Sprintf("merchant login request, in a browser %t", r.ReturnTo != "")
}

// Format writes String for every verb.
func (r Request) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, r.String()) }

// LogValue is String.
func (r Request) LogValue() slog.Value { return slog.StringValue(r.String()) }

// String names the state.
func (s Status) String() string { return fmt.Sprintf("merchant login, %.16q", string(s.State)) }

// Format writes String for every verb.
func (s Status) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue is String.
func (s Status) LogValue() slog.Value { return slog.StringValue(s.String()) }

// String names issuer and client.
func (l *Logins) String() string { return l.cfg.Config.String() }

// Format writes String for every verb.
func (l *Logins) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, l.String()) }

// LogValue is String.
func (l *Logins) LogValue() slog.Value { return slog.StringValue(l.String()) }

// String says how many callers there are.
func (c APIConfig) String() string { return fmt.Sprintf("merchant API of %d callers", len(c.Callers)) }

// Format writes String for every verb.
func (c APIConfig) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// LogValue is String.
func (c APIConfig) LogValue() slog.Value { return slog.StringValue(c.String()) }

// String says how many credentials there are.
func (a *API) String() string {
	return fmt.Sprintf("merchant API of %d tokens and %d certificates", len(a.callers.tokens), len(a.callers.names))
}

// Format writes String for every verb.
func (a *API) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, a.String()) }

// LogValue is String.
func (a *API) LogValue() slog.Value { return slog.StringValue(a.String()) }

// String hides who it is.
func (Operator) String() string { return "operator" }

// Format writes String for every verb.
func (o Operator) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, o.String()) }

// LogValue is String.
func (o Operator) LogValue() slog.Value { return slog.StringValue(o.String()) }
