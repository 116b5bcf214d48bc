package objectevent

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
)

// Extension attributes of an operation, which its events keep.
const (
	extOrigin   = "origin"     // user, backend
	extDeletion = "deletionid" // what BeforeDelete answered
)

// Who an operation says it is by.
const (
	originUser    = "user"
	originBackend = "backend"
)

// operation is a fact that a source system reports: an event whose verb is what was
// done, and whose data says what changed.
type operation struct {
	event.Event // Subject is the object, Verb the operation
	name        operationName
	change      event.Change // as reported; nothing is filled in
	by          doer
	deletion    string // "" = nobody was asked
}

// readOperation reads an operation as it is stored. Codes invalid_operation,
// invalid_name, invalid_topic, naming what is wrong; what could be read until then
// is in the answer.
func readOperation(subj string, h nats.Header, data []byte, at event.Stored) (operation, error) {
	o := operation{Event: event.Decode("", h, data, at)}
	a, canonical, ok := subject.ParseOperation(subj)
	if !ok {
		return o, wrongOperation("subject", "is not op.<tenant>.<topic>.<op>.<object>")
	}
	named := o.Tenant
	o.Tenant, o.Subject, o.Verb, o.Type = a.Tenant, a.Object, a.Op, ""
	if subject.Fold(o.Topic) != subject.Fold(a.Topic) {
		o.Topic = a.Topic
	}
	if err := a.Check(); err != nil {
		return o, err
	}
	if o.ID == "" || len(o.ID) > subject.MaxToken {
		return o, wrongOperation("id", "has %d bytes; 1 to %d are allowed", len(o.ID), subject.MaxToken)
	}
	if named != "" && named != a.Tenant {
		return o, wrongOperation("tenant", "is %.64q in the envelope, and %.64q in the subject", named, a.Tenant)
	}
	if !canonical {
		return o, wrongOperation("subject", "tenant and object must be escaped as the wire book says, so that one object has one address")
	}
	if o.Malformed != "" {
		return o, wrongOperation("data", "%s", o.Malformed)
	}
	return o, o.complete()
}

// complete reads what an operation has beyond an event, and checks it.
func (o *operation) complete() error {
	o.name = operationName(subject.Fold(o.Verb))
	if _, ok := knownOperations[o.name]; !ok {
		return wrongOperation("op", "%.64q is not one of %s", o.Verb, operationNames())
	}
	if err := o.readChange(); err != nil {
		return err
	}
	if err := o.readOrigin(); err != nil {
		return err
	}
	o.deletion, _ = o.Extensions[extDeletion].(string)
	if o.deletion != "" && o.name != opTrash && o.name != opDelete {
		return wrongOperation(extDeletion, "belongs to trash and delete, not to %s", o.name)
	}
	o.Recipient = ""
	return o.checkVersion()
}

// readChange takes the change out of the data: a change document, or the values
// alone, after what makes something and before what ends it.
func (o *operation) readChange() error {
	switch {
	case len(o.Data) == 0:
		return nil
	case o.DataSchema == event.ChangeSchema:
		d := json.NewDecoder(bytes.NewReader(o.Data))
		d.DisallowUnknownFields() // a misspelt "old" would be an update without old values
		if err := d.Decode(&o.change); err != nil {
			return wrongOperation("data", "is no change document: %s", strings.TrimPrefix(err.Error(), "json: "))
		}
		if _, err := d.Token(); !errors.Is(err, io.EOF) {
			return wrongOperation("data", "goes on behind the change document")
		}
	case knownOperations[o.name].ends || o.name == opTrash:
		o.change.Old = o.Data
	default:
		o.change.New = o.Data
	}
	for _, v := range []struct {
		field string
		value json.RawMessage
	}{{"old", o.change.Old}, {"new", o.change.New}} {
		if v.value != nil && !isObject(v.value) {
			return wrongOperation(v.field, "is not a JSON object")
		}
	}
	if slices.ContainsFunc(o.change.Affected, func(r json.RawMessage) bool { return !isObject(r) }) {
		return wrongOperation("affected", "holds something that is not a JSON object")
	}
	if id := o.change.Resource.ID; id != "" && id != o.Subject {
		return wrongOperation("resource.id", "is %.64q, and the operation's object is %.64q", id, o.Subject)
	}
	return nil
}

// isObject says whether JSON that is known to be valid is an object.
func isObject(raw json.RawMessage) bool {
	raw = bytes.TrimLeft(raw, " \t\r\n")
	return len(raw) > 0 && raw[0] == '{'
}

// readOrigin finds out who did it. A module that acts as a virtual user has a
// feature; what nobody did, the back-end did.
func (o *operation) readOrigin() error {
	actor := event.Actor{User: o.SenderUser, Feature: o.SenderFeature}
	if o.change.Actor != nil {
		actor = *o.change.Actor
	}
	origin, _ := o.Extensions[extOrigin].(string)
	switch origin {
	case originUser, originBackend:
	case "":
		if origin = originUser; actor.User == "" || actor.Feature != "" {
			origin = originBackend
		}
	default:
		return wrongOperation(extOrigin, "%.32q is neither %s nor %s", origin, originUser, originBackend)
	}
	switch {
	case origin == originUser:
		o.by = aUser
	case o.Frm != nil && *o.Frm:
		o.by = backendRaising
	default:
		o.by = theBackend
	}
	return nil
}

// checkVersion takes the version from wherever it is.
func (o *operation) checkVersion() error {
	v := o.change.Resource.Version
	switch {
	case v == nil:
	case o.ObjectVersion == nil:
		o.ObjectVersion = v
	case *v != *o.ObjectVersion:
		return wrongOperation("resource.version", "is %d, and objectversion is %d", *v, *o.ObjectVersion)
	}
	if o.ObjectVersion != nil && *o.ObjectVersion < 0 {
		return wrongOperation("objectversion", "%d is below zero", *o.ObjectVersion)
	}
	return nil
}

// under are the circumstances that the table asks about.
func (o *operation) under(from whereabouts) circumstances {
	return circumstances{operation: o.name, topic: o.Topic, by: o.by, from: from, asked: o.deletion != ""}
}

// lacks says which value is missing that a row needs.
func (o *operation) lacks(needs string) error {
	switch needs {
	case "old":
		if o.change.Old == nil {
			return wrongOperation("old", "is missing: this update raises frm.objectUpdate, which carries the old values")
		}
	case "new":
		if o.change.New == nil {
			return wrongOperation("new", "is missing")
		}
	case "new.status":
		var v struct {
			Status json.RawMessage `json:"status"`
		}
		if o.change.New == nil || json.Unmarshal(o.change.New, &v) != nil || v.Status == nil {
			return wrongOperation("new.status", "is missing: it is what sys.userChangeStatus tells")
		}
	}
	return nil
}

// mode is how the object is deleted, as BeforeDelete was asked.
func (o *operation) mode() Mode {
	if o.name == opDelete {
		return WithoutTrash
	}
	return ToTrash
}

// address is where the operation is reported.
func (o *operation) address() subject.OperationAddress {
	return subject.OperationAddress{Tenant: o.Tenant, Topic: o.Topic, Op: string(o.name), Object: o.Subject}
}

func wrongOperation(field, format string, args ...any) error {
	return fault.Field(fault.InvalidOperation, field, format, args...)
}

// operationNames are all there are, for people.
func operationNames() string {
	var names []string
	for _, r := range table {
		if n := string(r.operation); !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return strings.Join(names, ", ")
}
