package caddymodule

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// What holds something of a person, or a secret, prints as less than that, whatever prints it: fmt with any verb, log/slog, and zap.

// String names the public URLs; encoding/json shows the configuration as it was given.
func (h Handler) String() string { return "vipps_auth of " + strings.Join(h.PublicURL, ", ") }

// Format writes String for every verb.
func (h Handler) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, h.String()) }

// LogValue is String.
func (h Handler) LogValue() slog.Value { return slog.StringValue(h.String()) }
