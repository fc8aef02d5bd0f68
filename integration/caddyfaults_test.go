package integration_test

import (
	"net/http"
	"testing"
)

func TestCaddyForwardAuthFailsClosed(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.serve("--trusted-proxies=loopback")
	startCaddyForwardAuth(t, f)
	badDay(t, f, outage{status: http.StatusServiceUnavailable}, f.addr)
}

func TestCaddyForwardAuthAppDown(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.serve("--trusted-proxies=loopback")
	startCaddyForwardAuth(t, f)
	appDown(t, f)
}

func TestCaddyForwardAuthRestartUnderLoad(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.serve("--trusted-proxies=loopback")
	startCaddyForwardAuth(t, f)
	restartUnderLoad(t, f, http.StatusServiceUnavailable)
}
