package gateway

import (
	"context"

	gatewayv1 "github.com/belfry-events/belfry/proto/belfry/gateway/v1"
)

// Notify implements the contract.
func (s *Service) Notify(context.Context, *gatewayv1.NotifyRequest) (*gatewayv1.NotifyResponse, error) {
	return nil, errNotServing
}

// GetPresence implements the contract.
func (s *Service) GetPresence(context.Context, *gatewayv1.GetPresenceRequest) (*gatewayv1.GetPresenceResponse, error) {
	return nil, errNotServing
}

// ListPresence implements the contract.
func (s *Service) ListPresence(context.Context, *gatewayv1.ListPresenceRequest) (*gatewayv1.ListPresenceResponse, error) {
	return nil, errNotServing
}
