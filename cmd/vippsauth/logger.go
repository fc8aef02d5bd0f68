package main

import (
	"fmt"
	"io"
	"slices"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// newLogger returns the logger that the settings ask for.
func (c *config) newLogger(w io.Writer) *zap.Logger {
	ec := zap.NewProductionEncoderConfig()
	ec.TimeKey = "time"
	ec.MessageKey = "message"
	ec.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	ec.EncodeDuration = zapcore.StringDurationEncoder
	encoder := zapcore.NewJSONEncoder(ec)
	if c.logFormat == "console" {
		ec.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		ec.EncodeLevel = zapcore.CapitalLevelEncoder
		encoder = zapcore.NewConsoleEncoder(ec)
	}
	out := zapcore.Lock(zapcore.AddSync(w))
	return zap.New(zapcore.NewCore(encoder, out, c.logLevel()), zap.ErrorOutput(out))
}

// logEffective writes one line with the settings that were given: not the secrets, and of those that may name people
// how many.
func logEffective(log *zap.Logger, values map[string][]string) {
	fields := []zap.Field{zap.String("version", programVersion())}
	for _, s := range settingsTable() {
		v, given := values[s.key]
		switch {
		case !given:
		case s.secret, s.private && s.list == scalar:
			fields = append(fields, zap.String(s.key, "set"))
		case s.private && slices.Equal(v, []string{"anyone"}):
			fields = append(fields, zap.String(s.key, v[0]))
		case s.private:
			fields = append(fields, zap.String(s.key, fmt.Sprintf("%d entries", len(v))))
		case s.list == scalar:
			fields = append(fields, zap.String(s.key, v[0]))
		default:
			fields = append(fields, zap.Strings(s.key, v))
		}
	}
	log.Info("settings", fields...)
}
