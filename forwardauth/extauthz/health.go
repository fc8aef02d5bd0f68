package extauthz

import (
	"context"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// health is the standard health service, for whoever asks: Envoy's health checks and Kubernetes' probes. It doesn't offer
// Watch, which neither uses, and which would let anybody hold streams open.
type health struct {
	grpc_health_v1.UnimplementedHealthServer
	stopping atomic.Bool
}

// Check says that the server and its service answer, until they stop.
func (h *health) Check(_ context.Context, q *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	if name := q.GetService(); name != "" && name != serviceName {
		return nil, status.Error(codes.NotFound, "unknown service")
	}
	state := grpc_health_v1.HealthCheckResponse_SERVING
	if h.stopping.Load() {
		state = grpc_health_v1.HealthCheckResponse_NOT_SERVING
	}
	return &grpc_health_v1.HealthCheckResponse{Status: state}, nil
}
