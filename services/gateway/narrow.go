package gateway

import gatewayv1 "github.com/belfry-events/belfry/proto/belfry/gateway/v1"

// narrow answers a frame that says which real-time events the connection wants.
// Nothing that it does not want is queued any more when the answer is.
func (n *session) narrow(to *gatewayv1.Narrow) (*gatewayv1.ServerFrame, error) {
	set, err := narrow(to.GetCodes(), to.GetNone())
	if err != nil {
		return nil, err
	}
	n.s.crowd.narrow(n.c, set)
	return &gatewayv1.ServerFrame{Frame: &gatewayv1.ServerFrame_Narrowed{Narrowed: &gatewayv1.Narrowed{Codes: set.names()}}}, nil
}
