package vipps

import (
	"fmt"
	"io"
	"log/slog"
)

// redacted stands where a secret would have been printed.
const redacted = "[redacted]"

// Secret is a string that doesn't print itself: fmt, encoding/json, log/slog
// and every encoder that honours encoding.TextMarshaler show "[redacted]".
// The zero value is an empty secret, and prints the same.
//
// A conversion to string, reflection, and its use as the key of a map that
// becomes JSON, still give the value.
type Secret string

// Reveal returns the value.
func (s Secret) Reveal() string { return string(s) }

// String returns "[redacted]".
func (s Secret) String() string { return redacted }

// GoString returns "[redacted]".
func (s Secret) GoString() string { return redacted }

// Format writes "[redacted]" for every verb, %x and %q included.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalJSON returns "[redacted]" as a JSON string.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText returns "[redacted]".
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue returns "[redacted]".
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
