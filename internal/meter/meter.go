// Package meter registers what is counted.
package meter

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// Register registers a collector or, where the process has registered its like, as another engine or receiver does, takes that
// one. Without a registerer it registers nothing.
func Register[C prometheus.Collector](r prometheus.Registerer, c C) C {
	if r == nil {
		return c
	}
	var already prometheus.AlreadyRegisteredError
	if err := r.Register(c); errors.As(err, &already) {
		if old, ok := already.ExistingCollector.(C); ok {
			return old
		}
	}
	return c
}
