package fcgi

import (
	"fmt"
	"io"
	"log/slog"
)

// What holds something of a person, or a secret, prints as less than that, whatever prints it: fmt with any verb, log/slog, and zap.

// String is the name.
func (p Param) String() string { return "param " + p.Name }

// Format writes String for every verb.
func (p Param) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, p.String()) }

// LogValue is String.
func (p Param) LogValue() slog.Value { return slog.StringValue(p.String()) }

// String says from where it came.
func (r Request) String() string { return "FastCGI request from " + r.RemoteAddr }

// Format writes String for every verb.
func (r Request) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, r.String()) }

// LogValue is String.
func (r Request) LogValue() slog.Value { return slog.StringValue(r.String()) }

// String is the status.
func (a Answer) String() string { return fmt.Sprintf("FastCGI answer %d", a.Status) }

// Format writes String for every verb.
func (a Answer) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, a.String()) }

// LogValue is String.
func (a Answer) LogValue() slog.Value { return slog.StringValue(a.String()) }
