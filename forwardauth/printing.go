package forwardauth

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// What holds something of a person, or a secret, prints as less than that, whatever prints it: fmt with any verb, log/slog, and zap.

// String names the public URLs.
func (c Config) String() string { return "configuration of " + strings.Join(c.PublicURLs, ", ") }

// Format writes String for every verb.
func (c Config) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// LogValue is String.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// String is the name.
func (p Policy) String() string { return "policy " + p.Name }

// Format writes String for every verb.
func (p Policy) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, p.String()) }

// LogValue is String.
func (p Policy) LogValue() slog.Value { return slog.StringValue(p.String()) }

// String names method and host.
func (o Original) String() string { return "request " + o.Method + " to " + o.Host }

// Format writes String for every verb.
func (o Original) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, o.String()) }

// LogValue is String.
func (o Original) LogValue() slog.Value { return slog.StringValue(o.String()) }

// String names the verdict.
func (d Decision) String() string { return fmt.Sprintf("decision %v", d.Verdict) }

// Format writes String for every verb.
func (d Decision) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, d.String()) }

// LogValue is String.
func (d Decision) LogValue() slog.Value { return slog.StringValue(d.String()) }

// String names the public URLs.
func (e *Engine) String() string { return "engine of " + strings.Join(e.cfg.PublicURLs, ", ") }

// Format writes String for every verb.
func (e *Engine) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, e.String()) }

// LogValue is String.
func (e *Engine) LogValue() slog.Value { return slog.StringValue(e.String()) }

// String is without the person.
func (p Person) String() string { return "person" }

// Format writes String for every verb.
func (p Person) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, p.String()) }

// LogValue is String.
func (p Person) LogValue() slog.Value { return slog.StringValue(p.String()) }

// MarshalJSON is String: what an answer is to hold of a person, it names itself.
func (p Person) MarshalJSON() ([]byte, error) { return json.Marshal(p.String()) }
