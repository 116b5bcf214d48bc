package embed

import (
	"regexp"
	"slices"

	"github.com/nats-io/nkeys"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/topology"
)

// Role is what a user of the NATS server is for. The set is closed.
type Role string

// The roles. Tenants narrow publishers, readers and hooks.
const (
	RoleService   Role = "service"   // Belfry's own processes: everything in Account
	RoleApp       Role = "app"       // whoever connects without credentials: publish, read, answer hooks
	RolePublisher Role = "publisher" // send events, operations and real-time events
	RoleReader    Role = "reader"    // listen to live events, time and presence
	RoleHook      Role = "hook"      // answer the questions to hooks
)

// AllTenants is the tenant of a publisher, reader or hook of every tenant.
const AllTenants = "*"

// User is one who may connect.
type User struct {
	Name    string   // letters, digits, "-" and "_"
	Role    Role     // what it may
	Tenants []string // where all but services and app may; AllTenants = everywhere

	Password string // as it is, or its bcrypt hash
	NKey     string // its public nkey, instead of a password
}

const (
	// Everybody's own: the account keeps inboxes apart, so that no client has to
	// be told a prefix.
	inbox = "_INBOX.>"

	accountInfo = "$JS.API.INFO"

	directGet  = "$JS.API.DIRECT.GET." + topology.Events
	lastOf     = directGet + ".>" // last by subject, the subject in the address
	streamInfo = "$JS.API.STREAM.INFO." + topology.Events

	// A before-handler answers one request once; the time is far above the
	// longest budget a hook call can have.
	responseMessages = 1
	responseTime     = "1m"

	// How long the way back stays open for a request that may have several
	// answers: pages of the log, a real-time event that several gateways take.
	// Single answers, a 90 second Peek among them, have the server's 2 minutes.
	manyAnswersTime = "5s"
)

// request is a subject that a stranger may ask or publish on.
type request struct {
	subject string
	many    bool // several answers may come
}

// requests are all there are. The API subjects are literal or end inside EVENTS;
// none creates a consumer, because a push consumer could deliver onto any
// subject.
var requests = []request{
	{subject.Roots.Events, false},
	{subject.Roots.Operations, false},
	{subject.Roots.Realtime, true},
	{subject.Roots.Service, false},
	{directGet, true},
	{lastOf, false},
	{streamInfo, false},
}

// use is a subject, and the export it is a part of.
type use struct{ subject, of string }

// rights are what one user may, beside its inbox.
type rights struct {
	asks, hears []use
	hooks       []string // what it may answer
}

func (r *rights) ask(subjects ...string) {
	for _, s := range subjects {
		r.asks = append(r.asks, use{s, s})
	}
}

func (r *rights) hear(subjects ...string) {
	for _, s := range subjects {
		r.hears = append(r.hears, use{s, s})
	}
}

// rights is the one table of who may do what. A svc. request carries its own
// token, so everybody may send one. The log cannot be read by tenant: the filter
// of a direct get is in its body, which NATS does not look at, and so is that of
// the stream's state. Who is not trusted with every tenant reads the log through
// the gateway, with a token; only the last event of a subject has its subject
// where NATS sees it.
func (u User) rights() (r rights, err error) {
	all := len(u.Tenants) == 1 && u.Tenants[0] == AllTenants
	r.ask(subject.Roots.Service)
	switch {
	case u.Role == RoleApp:
		r = rights{hooks: []string{subject.Roots.Hook}}
		for _, q := range requests {
			r.ask(q.subject)
		}
		r.hear(feeds...)
	case u.Role == RolePublisher && all:
		r.ask(subject.Roots.Events, subject.Roots.Operations, subject.Roots.Realtime, streamInfo)
	case u.Role == RoleReader && all:
		r.ask(directGet, lastOf, streamInfo)
		r.hear(feeds...)
	case u.Role == RoleHook && all:
		r.hooks = []string{subject.Roots.Hook}
	case u.Role == RoleHook:
		for _, tenant := range u.Tenants {
			s, err := subject.TenantOf(subject.Roots.Hook, tenant)
			if err != nil {
				return r, err
			}
			r.hooks = append(r.hooks, s)
		}
	case u.Role == RolePublisher:
		for _, tenant := range u.Tenants {
			for _, root := range []string{subject.Roots.Events, subject.Roots.Operations, subject.Roots.Realtime} {
				s, err := subject.TenantOf(root, tenant)
				if err != nil {
					return r, err
				}
				r.asks = append(r.asks, use{s, root})
			}
		}
	case u.Role == RoleReader:
		r.hears = append(r.hears, use{subject.PlatformClock(), subject.Roots.Clock})
		for _, tenant := range u.Tenants {
			stored, err := subject.TenantEvents(tenant)
			if err != nil {
				return r, err
			}
			r.asks = append(r.asks, use{directGet + "." + stored, lastOf})
			r.hears = append(r.hears, use{subject.Live(stored), subject.Roots.Live})
			for _, root := range []string{subject.Roots.Clock, subject.Roots.Presence} {
				s, err := subject.TenantOf(root, tenant)
				if err != nil {
					return r, err
				}
				r.hears = append(r.hears, use{s, root})
			}
		}
	}
	return r, nil
}

// userName is what fits into a subject and an account's name.
var userName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$`)

// check refuses a user that nobody could be, or that anybody could.
func (u User) check() error {
	invalid := func(format string, args ...any) error {
		return fault.Field(fault.InvalidConfig, "user", "%.64q "+format, append([]any{u.Name}, args...)...)
	}
	named := u.Role == RolePublisher || u.Role == RoleReader || u.Role == RoleHook
	switch {
	case !userName.MatchString(u.Name):
		return invalid("must be 1 to 63 letters, digits, - and _, and begin with a letter or digit")
	case !named && u.Role != RoleService && u.Role != RoleApp:
		return invalid("has the role %q; there are service, app, publisher, reader and hook", u.Role)
	case named && (u.Name == ServiceUser || u.Name == AppUser):
		return invalid("is a name of our own")
	case named && len(u.Tenants) == 0:
		return invalid("needs a tenant, or %s for all", AllTenants)
	case len(u.Tenants) > 1 && slices.Contains(u.Tenants, AllTenants):
		return invalid("has %s beside tenants by name", AllTenants)
	case (u.Password == "") == (u.NKey == ""):
		return invalid("needs a password or an nkey, and not both")
	case u.NKey != "" && !nkeys.IsValidPublicUserKey(u.NKey):
		return invalid("has no public nkey of a user (U…): %.80q", u.NKey)
	}
	return nil
}

func (u User) account() string {
	if u.Role == RoleApp {
		return AppAccount
	}
	return AppAccount + "_" + u.Name
}

func (u User) credentials() object {
	if u.NKey != "" {
		return object{"nkey": u.NKey}
	}
	return object{"user": u.Name, "password": u.Password}
}

// user is the user with its permissions. They repeat what the border lets pass,
// so that a subject of the account's own cannot be used between its connections.
func (u User) user(r rights) object {
	var publish []string
	for _, q := range r.asks {
		publish = append(publish, q.subject)
	}
	subscribe := []string{inbox}
	for _, h := range r.hears {
		subscribe = append(subscribe, h.subject)
	}
	permissions := object{"publish": object{"allow": publish}}
	if r.hooks != nil {
		subscribe = append(subscribe, r.hooks...)
		permissions["allow_responses"] = object{"max": responseMessages, "expires": responseTime}
	}
	permissions["subscribe"] = object{"allow": subscribe}
	user := u.credentials()
	user["permissions"] = permissions
	return user
}
