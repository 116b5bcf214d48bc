// Package auth says who is calling and what they may do.
//
//	token ──Verify──▶ Principal ──Decide(Request)──▶ nil, or tenant_forbidden / grant_missing
//
// A token is a JWT (RFC 7519) with the claims
//
//	iss      who issued it                          optional, checked when configured
//	sub      the user or program                    required, 1 to 255 bytes
//	exp      its end                                required
//	iat jti  its beginning, its own id              optional
//	tenants  ["AA","BB"]                            may be empty: only clock events then
//	grants   ["subscribe:*","publish:invoices"]     see Grant
//
// A grant says what, a tenant says where; both must allow. There is one
// function that decides, Principal.Decide, and every edge asks it.
//
// Today tokens are signed with HS256 (RFC 7518 §3.2) and a shared secret; other
// kinds of keys are further implementations of Verifier.
package auth
