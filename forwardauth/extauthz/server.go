// Package extauthz answers Envoy's ext_authz filter over gRPC (envoy.service.auth.v3.Authorization), and what speaks it:
// Istio, Envoy Gateway and Gateway API's ExternalAuth. Over HTTP Envoy asks package forwardauth itself.
//
// It has no judgement of its own: [forwardauth.Engine.Judge] decides and writes the answer, which is put into Envoy's
// words here. Whatever goes wrong on the way is a denial, and never an error: with failure_mode_allow Envoy would let a
// request pass on an error.
package extauthz

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	"github.com/vippsauth/vippsauth/forwardauth"
)

// What one connection may ask of us. A question is as large as the headers of the judged request, of which Envoy allows
// 60 KiB unless it is told otherwise.
const (
	maxQuestion    = 1 << 20
	maxStreams     = 1000
	maxMetadata    = 16 << 10
	connectTime    = 5 * time.Second
	idleTime       = 10 * time.Minute
	pingAfter      = 30 * time.Second
	pingTime       = 10 * time.Second
	leastPingPause = 5 * time.Second
)

// Server is a gRPC server with Envoy's authorization service and the standard health service. It is made by [New] and
// serves on any number of listeners.
type Server struct {
	grpc   *grpc.Server
	health *health
}

// New makes a Server for an engine. The log gets what goes wrong, and no request.
func New(engine *forwardauth.Engine, log *zap.Logger) *Server {
	if log == nil {
		log = zap.NewNop()
	}
	s := &Server{health: &health{}}
	s.grpc = grpc.NewServer(
		grpc.ForceServerCodecV2(newCodec()),
		grpc.MaxRecvMsgSize(maxQuestion),
		grpc.MaxSendMsgSize(maxQuestion),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxHeaderListSize(maxMetadata),
		grpc.ConnectionTimeout(connectTime),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: idleTime, Time: pingAfter, Timeout: pingTime}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: leastPingPause, PermitWithoutStream: true}),
		grpc.WaitForHandlers(true),
	)
	s.grpc.RegisterService(&description, &authorization{engine: engine, log: log})
	grpc_health_v1.RegisterHealthServer(s.grpc, s.health)
	return s
}

// Serve answers on ln until [Server.Shutdown], and closes it. It returns nil after a shutdown.
func (s *Server) Serve(ln net.Listener) error {
	if err := s.grpc.Serve(ln); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("serving gRPC: %w", err)
	}
	return nil
}

// Shutdown takes no more questions and waits for the answers to those that are there, or until ctx ends, whose error it
// then returns.
func (s *Server) Shutdown(ctx context.Context) error {
	s.health.stopping.Store(true)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.grpc.GracefulStop()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close cuts off whoever is still waiting for an answer. It returns nil.
func (s *Server) Close() error {
	s.grpc.Stop()
	return nil
}
