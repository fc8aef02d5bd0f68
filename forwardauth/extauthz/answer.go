package extauthz

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	kind "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
)

// recorder is the http.ResponseWriter that the engine writes its answer to.
type recorder struct {
	header  http.Header
	status  int
	written bool
	body    bytes.Buffer
}

func (w *recorder) Header() http.Header { return w.header }

func (w *recorder) WriteHeader(status int) {
	if !w.written {
		w.status, w.written = status, true
	}
}

func (w *recorder) Write(b []byte) (int, error) {
	w.written = true
	return w.body.Write(b)
}

// allowed lets the request pass, with every identity header that has a value, and with every other one taken out, the
// client's own too. Envoy removes after it has set, so no name is in both lists. It gives the name of a header whose value
// can't be sent, if there is one.
func (w *recorder) allowed() (*auth.CheckResponse, string) {
	ok := &auth.OkHttpResponse{HeadersToRemove: []string{headerProxySecret}}
	for name, values := range w.header {
		switch {
		case name == "Cache-Control" || name == "Vary":
			// Of the answer itself. No identity header has these names.
		case len(values) != 1 || values[0] == "":
			ok.HeadersToRemove = append(ok.HeadersToRemove, name)
		case !utf8.ValidString(values[0]):
			return nil, name
		default:
			ok.Headers = append(ok.Headers, set(name, values[0], core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD))
		}
	}
	slices.Sort(ok.HeadersToRemove)
	return &auth.CheckResponse{
		Status:       &status.Status{Code: int32(codes.OK)},
		HttpResponse: &auth.CheckResponse_OkResponse{OkResponse: ok},
	}, ""
}

// denied is the client's answer. Lines of one name are entries of their own: the first replaces what Envoy would say
// itself, the others are added to it.
func (w *recorder) denied() *auth.CheckResponse {
	if w.status == http.StatusOK { // the engine says no otherwise
		return denial(http.StatusForbidden)
	}
	answer := denial(w.status)
	no := answer.GetDeniedResponse()
	no.Headers = nil // the engine's own are whole
	no.Body = strings.ToValidUTF8(w.body.String(), "?")
	for name, values := range w.header {
		if name == "Content-Length" { // Envoy counts itself
			continue
		}
		action := core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD
		for _, value := range values {
			no.Headers = append(no.Headers, set(name, strings.ToValidUTF8(value, "?"), action))
			action = core.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD
		}
	}
	return answer
}

// set is one line of a header. Older Envoys don't read the action: for them a line without "append" overwrites on
// allow, and is added to lines of this answer on denial, which comes to the same.
func set(name, value string, action core.HeaderValueOption_HeaderAppendAction) *core.HeaderValueOption {
	return &core.HeaderValueOption{Header: &core.HeaderValue{Key: name, Value: value}, AppendAction: action}
}

// denial refuses without a page.
func denial(httpStatus int) *auth.CheckResponse {
	code := codes.PermissionDenied
	if httpStatus == http.StatusUnauthorized || httpStatus == http.StatusFound {
		code = codes.Unauthenticated
	}
	return &auth.CheckResponse{
		Status: &status.Status{Code: int32(code)},
		HttpResponse: &auth.CheckResponse_DeniedResponse{DeniedResponse: &auth.DeniedHttpResponse{
			Status:  &kind.HttpStatus{Code: kind.StatusCode(int32(httpStatus))}, //nolint:gosec // three digits
			Headers: []*core.HeaderValueOption{set("Cache-Control", "no-store", core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD)},
		}},
	}
}
