// The access token: where it comes from, where it is kept, what it says. The
// page only displays claims; what they allow, the server decides.

const tokenKey = "belfry.token";
const positionKey = "belfry.position";

/**
 * takeToken reads the token from the address (#token=…, which no browser sends
 * to a server), keeps it for this tab and removes it from the address bar, where
 * a screen share or a bookmark would show it. "" = none.
 */
export function takeToken() {
  const found = new URLSearchParams(location.hash.slice(1)).get("token");
  if (found === null) return sessionStorage.getItem(tokenKey) ?? "";
  history.replaceState(null, "", location.pathname + location.search);
  keepToken(found);
  return found.trim();
}

export function keepToken(token) {
  sessionStorage.setItem(tokenKey, token.trim());
}

export function forgetToken() {
  sessionStorage.removeItem(tokenKey);
  sessionStorage.removeItem(positionKey);
}

// The position before the oldest row shown: a reloaded page resumes there.

export function keepPosition(user, cursor) {
  sessionStorage.setItem(positionKey, JSON.stringify({ user, cursor }));
}

/** positionOf is what keepPosition kept for the same user, else "". */
export function positionOf(user) {
  try {
    const kept = JSON.parse(sessionStorage.getItem(positionKey) ?? "{}");
    return kept.user === user && typeof kept.cursor === "string" ? kept.cursor : "";
  } catch {
    return "";
  }
}

/**
 * claimsOf decodes the claims of a JWT without verifying it: {user, issuer,
 * tenants, grants, expires}; undefined if the text is no JWT.
 */
export function claimsOf(token) {
  try {
    const part = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(part), (c) => c.charCodeAt(0));
    const claims = JSON.parse(new TextDecoder().decode(bytes));
    const texts = (v) => (Array.isArray(v) ? v.map(String) : []);
    return {
      user: String(claims.sub ?? ""),
      issuer: String(claims.iss ?? ""),
      tenants: texts(claims.tenants),
      grants: texts(claims.grants),
      expires: typeof claims.exp === "number" ? new Date(claims.exp * 1000) : undefined,
    };
  } catch {
    return undefined;
  }
}
