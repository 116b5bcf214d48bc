package subject

// Disconnect is where gateways ask each other to close a user's connections,
// roster.disconnect. It is the platform's own, as Roster is.
var Disconnect = join(roster, "disconnect")
