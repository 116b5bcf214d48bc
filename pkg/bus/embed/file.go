package embed

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/belfry-events/belfry/pkg/topology"
)

// File is the configuration of a plain nats-server that has Belfry's limits and
// these users, and takes nobody without credentials. Of the options it takes
// the address, data directory, TLS, size and sync. Codes as of Accounts.
func File(o Options, users []User) (string, error) {
	o = o.withDefaults()
	accounts, err := Accounts(users, "")
	if err != nil {
		return "", err
	}
	store := object{"store_dir": o.DataDir}
	if o.SyncAlways {
		store["sync_interval"] = "always"
	}
	server := object{
		"server_name": o.ServerName,
		"listen":      net.JoinHostPort(o.Host, strconv.Itoa(o.Port)),
		"max_payload": o.MaxEventBytes + topology.HeaderRoom + payloadRoom,
		"jetstream":   store,
	}
	if o.TLS.Cert != "" {
		tls := object{"cert_file": o.TLS.Cert, "key_file": o.TLS.Key}
		if o.TLS.CA != "" {
			tls["ca_file"], tls["verify"] = o.TLS.CA, true
		}
		server["tls"] = tls
	}
	settings, err := write(server)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	text.WriteString("# A NATS server for Belfry. Try it with: nats-server -t -c <this file>\n#\n")
	for _, u := range users {
		fmt.Fprintf(&text, "#   %-20s %s\n", u.Name, u.about())
	}
	text.WriteString("#\n# Passwords are bcrypt hashes. Whoever has no user here cannot connect.\n\n")
	// Two objects in a file are two lists of settings once their braces are gone.
	for _, part := range []string{settings, accounts} {
		text.WriteString(strings.TrimSuffix(strings.TrimPrefix(part, "{\n"), "}\n"))
	}
	return text.String(), nil
}

// about is one line for people.
func (u User) about() string {
	if u.Role == RoleService {
		return "Belfry's services: everything"
	}
	where := "tenant " + strings.Join(u.Tenants, ", ")
	if u.Tenants[0] == AllTenants {
		where = "every tenant"
	}
	return fmt.Sprintf("%s of %s", u.Role, where)
}
