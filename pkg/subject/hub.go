package subject

// hubRoot is between gateways, as roster is.
const hubRoot = "hub"

// HubConnection is where the gateway that has a connection of the SignalR hub
// answers for it: hub.<connection>, by its public id. It is the platform's own.
func HubConnection(id string) string { return join(hubRoot, escape(id)) }
