package main

import (
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"

	"go.uber.org/zap"
)

// faultText is all that somebody sees of a fault of ours: what makes pages may be what is broken.
const faultText = "Something went wrong here, and it isn't anything you did. Please try again.\n\n" +
	"Noe gikk galt her, og det er ikke noe du har gjort. Prøv igjen."

// recovered ends a request whose handler panics, and no other: 500 where the answer is ours and whole, and no answer at all
// where a part of the application's may be on its way, which must not look complete. The log has the stack, and the value
// only as its type, since it may be anything.
func (s *service) recovered(next http.Handler, proxies bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(http.ErrAbortHandler) // how a proxy says that an answer broke off
			}
			s.ops.panics.Inc()
			s.log.Error("a request was ended by a fault of ours", zap.String("cause", fmt.Sprintf("%T", cause)), zap.ByteString("stack", debug.Stack()))
			if proxies && !strings.HasPrefix(r.URL.Path, ownPrefix) {
				panic(http.ErrAbortHandler)
			}
			h := w.Header()
			clear(h)
			h.Set("Cache-Control", "no-store")
			h.Set("Connection", "close")
			http.Error(w, faultText, http.StatusInternalServerError)
		}()
		next.ServeHTTP(w, r)
	})
}
