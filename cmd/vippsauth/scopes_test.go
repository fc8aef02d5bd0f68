package main

import (
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/vippsauth/vippsauth/vipps"
)

func TestNearest(t *testing.T) {
	t.Parallel()
	claims := []string{"sub", "name", "given_name", "email", "phone_number", "birthdate", "nin"}
	for name, want := range map[string]string{
		"phonenumber": "phoneNumber", "PHONENUMBER": "phoneNumber", "phone_number": "phoneNumber", "phoneNumer": "phoneNumber", "phone": "phoneNumber",
		"birthdate": "birthDate", "profile": "name", "OpenId": "openid", "groups": "", "": "", "offline_access": "",
	} {
		if got := nearest(name, vippsScopes()); got != want {
			t.Errorf("scope %q: %q, want %q", name, got, want)
		}
	}
	for name, want := range map[string]string{"phoneNumber": "phone_number", "phone": "phone_number", "birthDate": "birthdate", "givenname": "given_name", "Email": "email", "groups": ""} {
		if got := nearest(name, claims); got != want {
			t.Errorf("claim %q: %q, want %q", name, got, want)
		}
	}
	for _, s := range vippsScopes() {
		if vipps.ClaimsOfScope(s) == nil {
			t.Errorf("package vipps doesn't know the scope %s", s)
		}
	}
}

// Whatever is wrong with an address, the error names setting, address and cure, each once.
func TestListenError(t *testing.T) {
	t.Parallel()
	op := func(errno syscall.Errno) error { return &net.OpError{Op: "listen", Net: "tcp", Err: errno} }
	for _, tt := range []struct {
		addr string
		err  error
		want string
	}{
		{":80", op(syscall.EACCES), "listen: cannot listen on :80: permission denied; ports below 1024 are the system's; set listen to one above"},
		{"10.9.9.9:1", op(syscall.EADDRNOTAVAIL), "listen: cannot listen on 10.9.9.9:1: cannot assign requested address; it is none of this machine's; set listen to one that is, as 127.0.0.1:4190"},
		{"unix//run/a", op(syscall.EACCES), "listen: cannot listen on unix//run/a: permission denied; let the user that runs vippsauth write to the directory of the socket, or set listen to another address"},
		{"unix//no/a", op(syscall.ENOENT), "listen: cannot listen on unix//no/a: no such file or directory; create the directory of the socket, or set listen to another address"},
	} {
		if got := listenError("listen", tt.addr, tt.err).Error(); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
	_, err := listenOn(t.Context(), "ops_listen", unixPrefix+t.TempDir()+"/none/s")
	if err == nil || !strings.Contains(err.Error(), "ops_listen: cannot listen on unix/") || !strings.Contains(err.Error(), "create the directory") {
		t.Errorf("%v", err)
	}
}
