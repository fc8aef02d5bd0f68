package forwardauth

import (
	"net/http"
	"testing"
)

// Over h2c a client would talk to an application behind a proxy past us: only websockets are upgraded to.
func TestSec_C054_OnlyWebsocket(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		asked []string
		stays bool
	}{
		{nil, false},
		{[]string{"websocket"}, true},
		{[]string{"WebSocket"}, true},
		{[]string{"h2c"}, false},
		{[]string{"websocket, h2c"}, false},
		{[]string{"websocket", "h2c"}, false},
		{[]string{"websocket", "websocket"}, false},
		{[]string{""}, false},
	} {
		h := http.Header{"Http2-Settings": {"AAMAAABk"}, "Connection": {"Upgrade, HTTP2-Settings"}}
		if tt.asked != nil {
			h["Upgrade"] = tt.asked
		}
		onlyWebsocket(h)
		if _, stays := h["Upgrade"]; stays != tt.stays || h["Http2-Settings"] != nil {
			t.Errorf("Upgrade: %q becomes %v", tt.asked, h)
		}
	}
}
