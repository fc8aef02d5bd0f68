package forwardauth

import (
	"net/http"
	"strconv"
	"strings"
)

// rpcStatus is a refusal in the words of RPC clients: gRPC's status code, and the Connect protocol's name of it
// (https://github.com/grpc/grpc/blob/master/doc/statuscodes.md, https://connectrpc.com/docs/protocol/#error-codes).
type rpcStatus struct {
	grpc    int
	connect string
	message string // plain ASCII without a percent sign: gRPC would want anything else encoded
}

var (
	rpcUnauthenticated  = rpcStatus{16, "unauthenticated", "login required"}
	rpcPermissionDenied = rpcStatus{7, "permission_denied", "forbidden"}
)

// refuseProgram answers a request that no person waits for in a tab, in the form that its client understands: gRPC and
// gRPC-Web in headers, Connect and everything else in JSON. judged is the header of the request that was refused.
func refuseProgram(w http.ResponseWriter, r *http.Request, judged http.Header, status int, body errorAnswer, rpc rpcStatus) {
	if contentType := grpcContentType(judged); contentType != "" {
		writeGRPC(w, status, contentType, rpc)
		return
	}
	if isConnect(judged) {
		body.Code, body.Message = rpc.connect, rpc.message
	}
	writeJSON(w, r, status, body)
}

// writeGRPC writes a response that gRPC calls Trailers-Only: the status is in the only block of headers there is, and no
// body follows (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses). gRPC-Web reads it there too
// (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md). The HTTP status is no 200, so that proxies and logs see
// a refusal; clients then take the same gRPC status from it (doc/http-grpc-status-mapping.md).
func writeGRPC(w http.ResponseWriter, status int, contentType string, rpc rpcStatus) {
	h := w.Header()
	neverCache(h)
	h.Set("Content-Type", contentType)
	h.Set("Grpc-Status", strconv.Itoa(rpc.grpc))
	h.Set("Grpc-Message", rpc.message)
	h.Set("Content-Length", "0")
	w.WriteHeader(status)
}

// grpcContentType is what the answer to a gRPC or gRPC-Web request is sent as, and "" for other requests.
func grpcContentType(h http.Header) string {
	if types := h["Content-Type"]; len(types) == 1 {
		mediaType, _, _ := strings.Cut(strings.ToLower(types[0]), ";")
		mediaType, _, _ = strings.Cut(mediaType, "+") // the encoding of messages, of which there are none
		switch mediaType = trimBlanks(mediaType); mediaType {
		case "application/grpc", "application/grpc-web", "application/grpc-web-text":
			return mediaType
		}
	}
	return ""
}

// isConnect reports a request in the Connect protocol: its streams by their type, the rest by the version header
// (https://connectrpc.com/docs/protocol/). Its clients read the code of an error from the JSON.
func isConnect(h http.Header) bool {
	types := h["Content-Type"]
	return h["Connect-Protocol-Version"] != nil || len(types) == 1 && strings.HasPrefix(strings.ToLower(types[0]), "application/connect+")
}
