package mailbox

import (
	"github.com/belfry-events/belfry/pkg/api"
	mailboxv1 "github.com/belfry-events/belfry/proto/belfry/mailbox/v1"
	"github.com/belfry-events/belfry/proto/belfry/mailbox/v1/mailboxv1connect"
)

// The service is what its contract says.
var _ mailboxv1connect.MailboxServiceHandler = (*Service)(nil)

// mountAPI mounts the contract, and the routes of the ITAS text in front of it.
func (s *Service) mountAPI(m *api.Mux) error {
	mounted := api.Service{
		Contract: mailboxv1.File_belfry_mailbox_v1_mailbox_proto.Services().ByName("MailboxService"),
		Methods: []api.Method{
			api.Unary("Register", s.Register),
			api.Unary("ViewSubscribers", s.ViewSubscribers),
			api.Unary("Subscribe", s.Subscribe),
			api.Unary("Peek", s.Peek),
			api.Unary("Receive", s.Receive),
			api.Unary("Confirm", s.Confirm),
			api.Unary("Renew", s.Renew),
			api.Unary("Release", s.Release),
			api.Unary("ViewSubscriptions", s.ViewSubscriptions),
			api.Unary("Unsubscribe", s.Unsubscribe),
			api.Unary("ViewTopics", s.ViewTopics),
			api.Unary("DescribeTopic", s.DescribeTopic),
			api.Unary("Publish", s.Publish),
			api.Unary("ReceiveBatch", s.ReceiveBatch),
			api.Unary("ConfirmBatch", s.ConfirmBatch),
			api.Unary("ViewDeadLetters", s.ViewDeadLetters),
			api.Unary("Redrive", s.Redrive),
			api.Unary("Replay", s.Replay),
		},
		Routes: []api.Route{{Pattern: "PUT /v1/topics/{name}", Method: "DescribeTopic"}},
	}
	methods := mounted.Contract.Methods()
	for i := range methods.Len() {
		name := string(methods.Get(i).Name())
		if name == "DescribeTopic" {
			continue // not the ITAS text's
		}
		mounted.Routes = append(mounted.Routes, api.Route{Pattern: "POST /Events/" + name, Method: name})
	}
	return m.Mount(mounted)
}
