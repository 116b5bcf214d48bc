// Package auth says who is calling and what they may do.
//
//	token ─────▶ Tokens ──▶ Revocations ─┐
//	                                     ├─▶ Principal ──Decide(Request)──▶ nil, or
//	signature ─▶ HMACKeys ──▶ Nonces ────┘     tenant_forbidden / grant_missing
//	 Guard: HTTP, NATS, Verify
//
// A token is a JWT (RFC 7519) with the claims
//
//	iss aud  who issued it, for whom                optional, checked when configured
//	sub      the user or program                    required, 1 to 255 bytes
//	exp      its end                                required
//	iat nbf  its beginning                          optional, not in the future
//	jti      its own id                             optional, 1 to 255 bytes
//	tenants  ["AA","BB"]                            may be empty: only clock events then
//	grants   ["subscribe:*","publish:invoices"]     see Grant
//
// signed with HS256, RS256, ES256 or EdDSA. The kind of a key says which of these
// it is for, and the token's algorithm which keys are looked at, so no token can
// choose how a key is used. Keys come from files (ReadKeys), shared secrets
// (SecretKey) or an issuer (JWKS).
//
// Callers show the same token again and again; Cached recognises it. Revocations are
// asked every time.
//
// A server may sign each request instead (HMACKey); the guard takes a request
// once, whichever replica it reaches.
//
// A grant says what, a tenant says where; both must allow. There is one
// function that decides, Principal.Decide, and every edge asks it.
package auth
