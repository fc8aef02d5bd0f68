package main

import (
	"context"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// What hangs at a stop, as at a disk that doesn't answer, is left alone when its time is over, and the log says so. What ends is waited for.
func TestStopDoesNotWaitForWhatHangs(t *testing.T) {
	t.Parallel()
	if drainTimeout+savingTime >= stopTimeout || stopTimeout >= 10*time.Second {
		t.Error("the parts of a stop are longer than a stop may be, or that longer than container runtimes wait")
	}
	core, logged := observer.New(zap.InfoLevel)
	s := &service{log: zap.New(core)}
	hangs, ended := make(chan struct{}), make(chan struct{})
	stop := s.inBackground(t.Context(), "what hangs", func(context.Context) { defer close(ended); <-hangs })
	stop(time.Now().Add(10 * time.Millisecond))
	if logged.FilterMessage("what hangs takes too long: stopping without").Len() != 1 {
		t.Errorf("the log: %v", logged.All())
	}
	close(hangs)
	<-ended
	done := false
	stop = s.inBackground(t.Context(), "what ends", func(ctx context.Context) { <-ctx.Done(); done = true })
	stop(time.Now().Add(time.Minute))
	if !done || logged.Len() != 1 {
		t.Error("what ends was not waited for")
	}
}
