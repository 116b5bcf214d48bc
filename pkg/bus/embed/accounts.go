package embed

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/belfry-events/belfry/pkg/subject"
)

// The server's users and the accounts they live in. JetStream, and everything
// the services say to each other, is in Account; strangers are in AppAccount,
// and only what is listed below crosses the border:
//
//	         APP                                BELFRY
//	publish  evt.> op.> rt.> svc.>      ──▶     streams and services
//	         reads of EVENTS            ──▶     JetStream
//	listen   live.> clock.> presence.>  ◀──     services
//	answer   hook.>                     ◀──     before-events
//
// Permissions alone do not hold, because NATS does not check the reply subject
// of a request: a stranger who may read EVENTS by direct get can name
// $JS.API.STREAM.DELETE.EVENTS, ctl.… or mbx.… as the place for the answer, and
// the server itself then publishes there. Across accounts an answer can only
// land in the account that asked.
//
// For the same reason every publisher, reader and hook with a name has an account of
// its own, AppAccount_<name>: in one account with others it could have an answer
// delivered on live.evt.<another tenant>.… , where they would take it for an
// event, or into an inbox of theirs.
const (
	ServiceUser = "service" // Belfry's own processes
	AppUser     = "app"     // whoever connects without credentials
	Account     = "BELFRY"  // of ServiceUser
	AppAccount  = "APP"     // of AppUser
)

// object is a piece of the server's configuration, which is a superset of JSON.
type object = map[string]any

// Accounts is the part of a NATS server's configuration that says who may do
// what: the embedded server's own, and what "belfry doctor nats-permissions"
// writes for others. Whoever connects without credentials is the user noAuth; ""
// = nobody. Codes invalid_config, invalid_name.
func Accounts(users []User, noAuth string) (string, error) {
	platform := object{"jetstream": "enabled"}
	accounts := object{Account: platform}
	var services, imports []object
	crossing := newBorder()
	for _, u := range users {
		if err := u.check(); err != nil {
			return "", err
		}
		if u.Role == RoleService {
			services = append(services, u.credentials())
			continue
		}
		r, err := u.rights()
		if err != nil {
			return "", err
		}
		account := u.account()
		if accounts[account] != nil {
			return "", fmt.Errorf("two users are called %s", u.Name)
		}
		a := object{"users": []object{u.user(r)}, "imports": crossing.admit(account, r)}
		var exports []object
		for _, hook := range r.hooks {
			exports = append(exports, object{"service": hook, "accounts": []string{Account}})
			imports = append(imports, object{"service": object{"account": account, "subject": hook}})
		}
		if exports != nil {
			a["exports"] = exports
		}
		accounts[account] = a
	}
	platform["users"], platform["exports"] = services, crossing.exports()
	if imports != nil {
		platform["imports"] = imports
	}
	config := object{"accounts": accounts}
	if noAuth != "" {
		config["no_auth_user"] = noAuth
	}
	return write(config)
}

// write is a configuration as JSON for people: what fits on a line is on one.
func write(config object) (string, error) {
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false) // ">" as it is: the server's parser knows no \u
	var text strings.Builder
	var put func(v any, indent string) error
	put = func(v any, indent string) error {
		line.Reset()
		if err := encoder.Encode(v); err != nil {
			return fmt.Errorf("write the NATS configuration: %w", err)
		}
		const width = 110
		inner := indent + "  "
		one := strings.TrimSuffix(line.String(), "\n")
		list, isList := v.([]object)
		members, isObject := v.(object)
		switch {
		case indent != "" && len(one) <= width, !isList && !isObject:
			text.WriteString(one)
		case isList:
			text.WriteString("[\n")
			for i, item := range list {
				text.WriteString(inner)
				if err := put(item, inner); err != nil {
					return err
				}
				text.WriteString(map[bool]string{true: ",\n", false: "\n"}[i < len(list)-1])
			}
			text.WriteString(indent + "]")
		default:
			text.WriteString("{\n")
			names := slices.Sorted(maps.Keys(members))
			for i, name := range names {
				fmt.Fprintf(&text, "%s%q: ", inner, name)
				if err := put(members[name], inner); err != nil {
					return err
				}
				text.WriteString(map[bool]string{true: ",\n", false: "\n"}[i < len(names)-1])
			}
			text.WriteString(indent + "}")
		}
		return nil
	}
	if err := put(config, ""); err != nil {
		return "", err
	}
	return text.String() + "\n", nil
}

// border is what the accounts of strangers may pass to and from Account.
type border struct{ accounts map[string][]string } // by the subject exported

func newBorder() *border { return &border{map[string][]string{}} }

// admit lets an account use what r names, and gives its imports.
func (b *border) admit(account string, r rights) (imports []object) {
	use := func(kind, export, subj string) {
		if list := b.accounts[export]; len(list) == 0 || list[len(list)-1] != account {
			b.accounts[export] = append(list, account)
		}
		imports = append(imports, object{kind: object{"account": Account, "subject": subj}})
	}
	for _, q := range r.asks {
		use("service", q.of, q.subject)
	}
	// The server gives every account without JetStream an import of all of
	// $JS.API, which would answer beside ours, unless the account has one for
	// this subject. No stranger may publish to it.
	use("service", accountInfo, accountInfo)
	for _, h := range r.hears {
		use("stream", h.of, h.subject)
	}
	return imports
}

// exports are those that somebody uses, in the order of the tables.
func (b *border) exports() []object {
	exports := []object{}
	for _, q := range append(requests, request{accountInfo, false}) {
		if accounts := b.accounts[q.subject]; accounts != nil {
			export := object{"service": q.subject, "accounts": accounts}
			if q.many {
				export["response_type"], export["response_threshold"] = "stream", manyAnswersTime
			}
			exports = append(exports, export)
		}
	}
	for _, f := range feeds {
		if accounts := b.accounts[f]; accounts != nil {
			exports = append(exports, object{"stream": f, "accounts": accounts})
		}
	}
	return exports
}

// feeds are what a stranger may listen to.
var feeds = []string{subject.Roots.Live, subject.Roots.Clock, subject.Roots.Presence}
