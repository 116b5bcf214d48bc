package objectevent

import (
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
)

// operationName is what was done to an object, as it is addressed.
type operationName string

// The operations.
const (
	opInsert   operationName = "insert"
	opUpdate   operationName = "update"
	opTrash    operationName = "trash"    // moved to the trash
	opRestore  operationName = "restore"  // moved back out of it
	opDelete   operationName = "delete"   // without trash
	opPurge    operationName = "purge"    // deleted from the trash
	opForget   operationName = "forget"   // everything about it is to be forgotten (GDPR)
	opStatus   operationName = "status"   // of a user
	opActivate operationName = "activate" // of a licence
)

// whereabouts is where an object is.
type whereabouts string

// The two places. An object that nobody has reported to be in the trash is not.
const (
	inUse   whereabouts = "in_use"
	inTrash whereabouts = "in_trash"
)

// doer is who did something, as far as it matters.
type doer string

// The doers.
const (
	aUser          doer = "a user"
	theBackend     doer = "the back-end"
	backendRaising doer = "the back-end, which raises the event itself"
)

// The topics that the seed has words of its own for.
const (
	users   = "users"
	licence = "licence"
)

// what is one event that follows from an operation: a verb, and what of it is not
// to be seen.
type what struct {
	verb        string
	noFrm       bool // it has no frm and no sys view
	unannounced bool // nobody was asked beforehand, so it has no sys.userDelete view
}

func silently(verb string) what    { return what{verb: verb, noFrm: true} }
func unannounced(verb string) what { return what{verb: verb, unannounced: true} }
func normally(verb string) what    { return what{verb: verb} }
func events(list ...what) []what   { return list }

// The verbs, and the seeds' names for them.
const (
	created   = "created"   // frm.objectInserted, sys.newUser
	updated   = "updated"   // frm.objectUpdate
	toDelete  = "deleting"  // frm.objectToDelete, sys.userDelete
	deleted   = "deleted"   // frm.objectDeleted
	purged    = "purged"    // sys.userDeleted
	changed   = "status"    // sys.userChangeStatus
	activated = "activated" // portos.licence.activated
)

// rule is one row of the table: under these circumstances, an empty one meaning
// any, these events follow, in this order, and the object is there afterwards.
type rule struct {
	operation operationName
	of        string      // topic
	by        doer        // who did it
	from      whereabouts // where the object was
	asked     bool        // only if BeforeDelete has asked, and stored the deleting event

	raises []what
	to     whereabouts // empty = where it was
	needs  string      // value that must be there: "old", "new", "new.status"
	refuse fault.Code  // instead of all that
}

// table says what follows from an operation. The first row that fits counts. The
// sentences are those of the seed; an event is what it is called there by its views
// (pkg/event).
var table = []rule{
	// "Event raised after save new object to the system permanent storage. Rasied both for
	// objects saved by user and objects internally created by back-end functions."
	// "When new user inserted regardless if his account has been actiated or not"
	// An id that comes back while the trash holds it begins anew.
	{operation: opInsert, raises: events(normally(created)), to: inUse},

	// "Event raised AFTER sucesfull update, new values are already in database. However,
	// changed (old) attributes from are part of the event messages. Raised for all updates
	// managed by user."
	{operation: opUpdate, by: aUser, raises: events(normally(updated)), needs: "old"},
	// "For updates processed by back-end processes event is raised only if the process raises
	// it (not automatically)."
	{operation: opUpdate, by: backendRaising, raises: events(normally(updated)), needs: "old"},
	{operation: opUpdate, by: theBackend, raises: events(silently(updated))},

	// "Event is raised for objects deleted to the trash asynchronously so that they do not
	// block delete operation." "Event raised after the object delete."
	// Twice to the trash is a mistake of the source, or of ours: nobody is to guess.
	{operation: opTrash, from: inTrash, refuse: fault.InTrash},
	{operation: opTrash, asked: true, raises: events(normally(deleted)), to: inTrash},
	// "Event is raised before delete synchronously and the processor can block the account
	// delete." Here nobody was asked, and the events say so.
	{operation: opTrash, of: users, raises: events(unannounced(toDelete), unannounced(deleted)), to: inTrash},
	{operation: opTrash, raises: events(normally(toDelete), normally(deleted)), to: inTrash},

	// The seed has no event for what comes back from the trash. Windows that have seen it
	// deleted must see it again.
	{operation: opRestore, from: inUse, refuse: fault.NotInTrash},
	{operation: opRestore, raises: events(silently(created)), to: inUse},

	// "For objects deleted without using trash, event is raised synchronously so that is it
	// processed before object disappear." That was BeforeDelete, or it is too late.
	{operation: opDelete, from: inUse, asked: true, raises: events(normally(deleted))},
	{operation: opDelete, from: inUse, raises: events(unannounced(deleted))},

	// "Raises when user account was permanently deleted (from trash). Called after the delete."
	{operation: opDelete, of: users, from: inTrash, raises: events(normally(purged)), to: inUse},
	{operation: opPurge, of: users, from: inTrash, raises: events(normally(purged)), to: inUse},
	{operation: opForget, of: users, from: inTrash, raises: events(normally(purged)), to: inUse},
	// "For object that is in the trash and permanently deleted, event is not raised; it was
	// already raised when deleted to the trash. So that is it not raised twice."
	{operation: opDelete, from: inTrash, to: inUse},
	{operation: opPurge, from: inTrash, to: inUse},
	{operation: opForget, from: inTrash, to: inUse},
	{operation: opPurge, from: inUse, refuse: fault.NotInTrash},

	// "Event is not raised when user account from trash is permanently deleted or forgotten
	// according to the GDPR rules." That is sys.userDelete, which is never raised here. What
	// is forgotten and was not in the trash is deleted now; nobody is asked whether it may.
	{operation: opForget, from: inUse, raises: events(unannounced(deleted))},

	// "When status of the system user is changed. Called asynchronously after the status
	// change. It is not raised when user is deleted to the trash."
	{operation: opStatus, of: users, from: inTrash, raises: events(silently(changed)), needs: "new.status"},
	{operation: opStatus, of: users, raises: events(normally(changed)), needs: "new.status"},

	// "Raised when Portos license is activated."
	{operation: opActivate, of: licence, raises: events(normally(activated)), needs: "new"},
}

// circumstances are what the table asks about an operation.
type circumstances struct {
	operation operationName
	topic     string // any case
	by        doer
	from      whereabouts
	asked     bool
}

// find is the row that counts; ok is false when there is no such operation, or
// not of this topic.
func (c circumstances) find() (r rule, ok bool) {
	topic := subject.Fold(c.topic)
	for _, r := range table {
		if r.operation == c.operation && (r.of == "" || r.of == topic) && (r.by == "" || r.by == c.by) &&
			(r.from == "" || r.from == c.from) && (!r.asked || c.asked) {
			return r, true
		}
	}
	return rule{}, false
}

// traits are what the table says of an operation whatever the circumstances.
type traits struct {
	looks bool // where the object is matters
	moves bool // it may move the object
	ends  bool // it may end it, so that its version begins anew
	first bool // it begins it
}

// traitsOf is read off the table, so that nothing is said twice.
func traitsOf(name operationName) (t traits, ok bool) {
	for _, r := range table {
		if r.operation != name {
			continue
		}
		ok = true
		t.looks = t.looks || r.from != ""
		t.moves = t.moves || r.to != ""
	}
	t.first = name == opInsert
	t.ends = name == opDelete || name == opPurge || name == opForget
	return t, ok
}

// knownOperations is traitsOf for all.
var knownOperations = func() map[operationName]traits {
	m := map[operationName]traits{}
	for _, r := range table {
		m[r.operation], _ = traitsOf(r.operation)
	}
	return m
}()
