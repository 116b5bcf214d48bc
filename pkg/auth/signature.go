package auth

// HMACKey is a secret that a server signs its requests with, and who that server
// is.
type HMACKey struct {
	ID      string
	Secret  []byte
	Subject string
	Tenants []string
	Grants  Grants
}

// HMACKeys finds keys by their id. Safe for concurrent use.
type HMACKeys interface {
	HMACKey(id string) (HMACKey, bool)
}
