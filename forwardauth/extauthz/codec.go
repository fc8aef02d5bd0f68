package extauthz

import (
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
)

// asked is a question of Envoy's, or why it can't be read.
type asked struct {
	auth.CheckRequest
	err error
}

// codec reads and writes protobuf as gRPC's own does, but that an unreadable question is no failure of the call: gRPC
// would answer that itself, with an error. A path that is no UTF-8 is enough for one.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2(proto.Name)} }

// Unmarshal reads one message.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	q, ok := v.(*asked)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	q.err = c.CodecV2.Unmarshal(data, &q.CheckRequest)
	return nil
}
